"""The lease: one object per environment that says which run may change it. Moved by compare-and-swap, never by time.

A run that died keeps its lease. It is taken over only by somebody who can know that it is over: a later attempt of
the same CI run, its job that goes back when another has ended, a process of the same machine that sees the owner
gone, `release resume` and `release reap` when GitHub says that the run has ended, or a person (`release unlock`).

With the lease goes the list of engines that were started under it and were not seen to end: each may have left a lock
in Pulumi's state, which only says a host name and a process id.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from release.canonical import canonical_json
from release.clock import Clock
from release.errors import LeaseLost, Refused, ReleaseError
from release.ledger.lifecycle import Run, lease_lost
from release.ledger.objects import LostError, ObjectStore
from release.processes import is_alive, started
from release.rules import RefusalRule
from release.settings import ReleaseSettings

KEY: Final = "ledger/lease.json"
_MOST_ENGINES: Final = 20


class Engine(BaseModel):
    """An engine of Pulumi that a run has started, and whose lock would be this run's."""

    model_config = ConfigDict(frozen=True)

    host: str
    machine: str
    pid: int
    began: str
    since: str
    """When it was started, by the wall clock of its machine."""


class Lease:
    """The lease of one environment, for `run`."""

    def __init__(self, objects: ObjectStore, stack: str, run: Run, clock: Clock) -> None:
        self._objects = objects
        self._stack = stack
        self.run = run
        self._clock = clock
        self._etag: str | None = None
        self._holder: dict[str, Any] | None = None
        self._sent: set[bytes] = set()  # what this run has written, or may have: an answer can be lost
        self.engines: tuple[Engine, ...] = ()
        """Engines of this run and of those before it that were not seen to end."""
        self.fence = 0
        """Number of the lease, once it is taken: greater than that of every lease before."""

    def holder(self) -> dict[str, Any] | None:
        """Return who holds it (`run`, `since`, `what`), or `None`."""
        return self._read().holder

    def take(
        self,
        what: str,
        settings: ReleaseSettings,
        say: Callable[[str], None],
        has_ended: Callable[[Run], bool] = lambda _: False,
        *,
        above: int = 0,
    ) -> None:
        """Take the lease, waiting for another run as long as `settings` allow.

        `say` is told what is waited for; `has_ended` tells whether a run that cannot be seen from here is over; `above`
        is the number of the newest lease that the ledger knows.

        Raises:
            Refused: Another run kept it all that time (rule `lease-held`).
        """
        began, said = self._clock.monotonic(), ""
        while True:
            found = self._read()
            holder = found.holder
            other = Run.model_validate(holder["run"]) if holder else None
            if holder is None or other is None or self.is_ours(other) or has_ended(other):
                if holder is not None and other != self.run:
                    say(f"run {holder['run']['id']} is over: taking its lease over")
                self._holder = {"run": self.run.model_dump(), "since": self._clock.stamp(), "what": what}
                taken = max(found.fence, above) + 1
                body = _body(taken, self._holder, found.engines)
                try:
                    self._etag = self._objects.swap(KEY, body, found.etag)
                except LostError:
                    continue
                self.fence, self.engines, self._sent = taken, found.engines, {body}
                return
            waited = self._clock.elapsed(began)
            if waited >= settings.lease_wait_s:
                raise Refused(
                    RefusalRule.LEASE_HELD,
                    f"run {holder['run']['id']} of {holder['run']['actor']} holds the lease of {self._stack}",
                    why=f"it has been busy since {holder['since']} with {holder['what']}; waited {waited:.0f} s",
                    next_step=f"wait for it, or, if it has died: release unlock --stack {self._stack} --reason ...",
                )
            line = f"waiting for the lease: run {holder['run']['id']} has held it since {holder['since']}"
            if line != said:
                say(line)
                said = line
            self._clock.sleep(settings.lease_poll_s)

    def give_back(self) -> None:
        """End the lease, if it is still ours."""
        if self._etag is None:
            return
        with contextlib.suppress(LostError, LeaseLost):  # a person has unlocked it
            self._replace(_body(self.fence, None, self.engines))
        self._etag, self._sent = None, set()

    def note_engine(self, pid: int) -> None:
        """Write that the engine with this process id begins to change something: before it does.

        Raises:
            LeaseLost: Somebody else has taken or freed the lease, so the engine may not.
        """
        run = self.run
        engine = Engine(host=run.host, machine=run.machine, pid=pid, began=started(pid), since=self._clock.stamp())
        self.engines = (*self.engines, engine)[-_MOST_ENGINES:]
        try:
            self._replace(_body(self.fence, self._holder, self.engines))
        except LostError:
            raise lease_lost(self._stack) from None

    def _replace(self, body: bytes) -> None:
        if self._etag is None:
            raise lease_lost(self._stack)
        self._sent.add(body)
        try:
            self._etag = self._objects.swap(KEY, body, self._etag)
        except LostError:
            self.check()
            self._etag = self._objects.swap(KEY, body, self._etag)

    def forget_engines(self, ended: Iterable[Engine]) -> None:
        """Forget engines that have ended and left no lock. The next change of the lease writes it."""
        gone = set(ended)
        self.engines = tuple(engine for engine in self.engines if engine not in gone)

    def check(self) -> None:
        """Look whether this run still holds the lease: before each change, for a run that hung may wake at any time.

        Raises:
            LeaseLost: Somebody else has taken or freed it.
        """
        stored = self._objects.get(KEY)
        if self._etag is None or stored is None or not (stored.etag == self._etag or stored.body in self._sent):
            raise lease_lost(self._stack)
        self._etag = stored.etag

    def break_open(self) -> dict[str, Any] | None:
        """Free the lease, whoever holds it, and return who did: for a person who knows that the run is over."""
        while True:
            found = self._read()
            if found.holder is None:
                return None
            try:
                self._objects.swap(KEY, _body(found.fence, None, found.engines), found.etag)
            except LostError:
                continue
            return found.holder

    def _read(self) -> _Found:
        stored = self._objects.get(KEY)
        if stored is None:
            return _Found()
        try:
            body = json.loads(stored.body)
            engines = tuple(Engine.model_validate(engine) for engine in body.get("engines", ()))
            return _Found(body["holder"], int(body.get("fence", 0)), engines, stored.etag)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReleaseError(
                f"{KEY} of {self._stack} cannot be read", why=str(error), next_step="an administrator must look at it"
            ) from error

    def is_ours(self, other: Run, *, later_job: bool = False) -> bool:
        """Return whether the lease of `other` may be taken over at once: it is ours, or its process is provably gone.

        `later_job`: this run is the job that begins when the others of its CI run have ended. A job that hung and wakes
        must not take the lease from that one.
        """
        mine = self.run
        if other == mine:
            return True
        if other.machine and other.machine == mine.machine and not is_alive(other.pid, other.began):
            return True
        (number, attempt), (own, current) = other.attempt, mine.attempt
        if number.startswith("local-") or number != own:
            return False
        return attempt < current or (later_job and attempt == current and other.job != mine.job)


@dataclass(frozen=True, slots=True)
class _Found:
    """The lease as it lies in the bucket."""

    holder: dict[str, Any] | None = None
    fence: int = 0
    engines: tuple[Engine, ...] = ()
    etag: str | None = None


def _body(fence: int, holder: dict[str, Any] | None, engines: Iterable[Engine]) -> bytes:
    listed = [engine.model_dump() for engine in engines]
    return canonical_json({"schema": 1, "fence": fence, "holder": holder} | ({"engines": listed} if listed else {}))
