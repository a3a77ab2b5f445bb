"""The locks in Pulumi's state: whose they are, and the removal of those that dead engines of ours have left.

A lock says no more than a user, a host name, a process id and a time, so it proves nothing by itself. It is ours when
it fits an engine that the lease has listed before that engine began. `pulumi cancel` would remove every lock, whoever
holds it; this removes one object at a time. It only runs under the lease: who held it before is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from components.naming import PROJECT, state_place
from release.console import Console
from release.errors import Refused, ReleaseError
from release.ledger.lease import Engine, Lease
from release.ledger.objects import ObjectStore
from release.processes import end
from release.rules import RefusalRule


class PulumiError(ReleaseError):
    """The engine ended with an error."""


class LockedError(PulumiError):
    """Another update holds the lock of the stack."""


@dataclass(frozen=True, slots=True)
class StackLock:
    """One lock of a stack; one that cannot be read names no process."""

    key: str
    user: str = ""
    host: str = ""
    pid: int = 0
    at: datetime | None = None

    @classmethod
    def read(cls, key: str, body: bytes) -> StackLock:
        """Return the lock that lies at `key`."""
        try:
            found = json.loads(body)
            at = datetime.fromisoformat(found["timestamp"])
            return cls(key, str(found["username"]), str(found["hostname"]), int(found["pid"]), at.astimezone())
        except (ValueError, KeyError, TypeError):
            return cls(key)

    def __str__(self) -> str:
        if self.at is None:
            return f"nobody can tell who: {self.key} is not a lock as Pulumi writes it"
        return f"{self.user}@{self.host} (process {self.pid}) since {self.at:%Y-%m-%d %H:%M:%S %z}"

    def is_of(self, engine: Engine) -> bool:
        """Return whether that engine has written it."""
        began = datetime.fromisoformat(engine.since)
        return self.at is not None and self.at >= began and (self.host, self.pid) == (engine.host, engine.pid)


class StackLocks:
    """The locks of one stack."""

    def __init__(self, objects: ObjectStore, stack: str, suffix: str, lease: Lease, console: Console) -> None:
        self.lease = lease
        self._objects = objects
        self._stack = stack
        self._prefix = f"{state_place(stack, suffix)[1]}/.pulumi/locks/organization/{PROJECT}/{stack}/"
        self._console = console

    def held(self) -> list[StackLock]:
        """Return every lock that lies there now."""
        bodies = {key: self._objects.get(key) for key in self._objects.keys(self._prefix)}
        return [StackLock.read(key, stored.body) for key, stored in sorted(bodies.items()) if stored is not None]

    def clear(self) -> bool:
        """Remove the locks of engines of ours that have ended, and end those that still run here; `False`: none was.

        Raises:
            LockedError: A lock is somebody else's, or nobody can tell whose; none is removed.
            LeaseLost: This run may not remove any.
        """
        for engine in self.lease.engines:
            if engine.machine == self.lease.run.machine and end(engine.pid, engine.began):
                self._console.detail(f"an engine of an earlier run still ran here (process {engine.pid}): ended")
        locks = self.held()
        foreign = [lock for lock in locks if not any(lock.is_of(engine) for engine in self.lease.engines)]
        if foreign:
            self.lease.check()  # the lock may be that of whoever has taken over
            raise self._locked(foreign)
        for lock in locks:
            self.lease.check()
            self._console.detail(f"removing the Pulumi lock of an engine of ours that has ended: {lock}")
            self._objects.delete(lock.key)
        here = self.lease.run.machine
        self.lease.forget_engines(engine for engine in self.lease.engines if engine.machine == here)
        return bool(locks)

    def refuse_foreign(self) -> None:
        """Raise `Refused` where somebody else works on the stack: before anything of a release has begun."""
        try:
            self.clear()
        except LockedError as error:
            raise Refused(RefusalRule.STACK_LOCKED, error.what, why=error.why, next_step=error.next_step) from error

    def _locked(self, locks: Iterable[StackLock]) -> LockedError:
        keys = [lock.key for lock in locks]
        return LockedError(
            f"the stack {self._stack} is locked in Pulumi's state by {' and '.join(map(str, locks))}",
            why="no engine of the releaser has written that lock, so somebody else may be changing the stack",
            next_step="wait until they have ended; if they have died: "
            + " && ".join(f"aws s3 rm s3://{self._objects.bucket}/{key}" for key in keys),
        )
