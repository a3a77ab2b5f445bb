"""The lease: one object per environment that says which run may change it. Moved by compare-and-swap, never by time.

A run that died keeps its lease. It is taken over only by somebody who can know that it is over: a later attempt or job
of the same CI run, a process on the same machine that sees the owner's pid gone, `release resume` and `release reap`
when GitHub says that the run has ended, or a person (`release unlock`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

from release.canonical import canonical_json
from release.clock import Clock
from release.errors import Refused, ReleaseError
from release.ledger.lifecycle import Run, lease_lost
from release.ledger.objects import LostError, ObjectStore
from release.processes import is_alive
from release.rules import RefusalRule
from release.settings import ReleaseSettings

KEY: Final = "ledger/lease.json"


class Lease:
    """The lease of one environment, for `run`."""

    def __init__(self, objects: ObjectStore, stack: str, run: Run, clock: Clock) -> None:
        self._objects = objects
        self._stack = stack
        self._run = run
        self._clock = clock
        self._etag: str | None = None
        self.fence = 0
        """Number of the lease, once it is taken: greater than that of every lease before."""

    def holder(self) -> dict[str, Any] | None:
        """Return who holds it (`run`, `since`, `what`), or `None`."""
        return self._read()[0]

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
            holder, fence, etag = self._read()
            other = Run.model_validate(holder["run"]) if holder else None
            if holder is None or other is None or self.is_ours(other) or has_ended(other):
                if holder is not None and other != self._run:
                    say(f"run {holder['run']['id']} is over: taking its lease over")
                taken = max(fence, above) + 1
                try:
                    self._etag = self._objects.swap(KEY, self._body(what, taken), etag)
                except LostError:
                    continue
                self.fence = taken
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
        with contextlib.suppress(LostError):  # a person has unlocked it
            self._objects.swap(KEY, _free(self.fence), self._etag)
        self._etag = None

    def check(self) -> None:
        """Look whether this run still holds the lease: before each change, for a run that hung may wake at any time.

        Raises:
            LeaseLost: Somebody else has taken or freed it.
        """
        stored = self._objects.get(KEY)
        if self._etag is None or stored is None or stored.etag != self._etag:
            raise lease_lost(self._stack)

    def break_open(self) -> dict[str, Any] | None:
        """Free the lease, whoever holds it, and return who did: for a person who knows that the run is over."""
        while True:
            holder, fence, etag = self._read()
            if holder is None:
                return None
            try:
                self._objects.swap(KEY, _free(fence), etag)
            except LostError:
                continue
            return holder

    def _read(self) -> tuple[dict[str, Any] | None, int, str | None]:
        """Return who holds it, its number, and the ETag of the object."""
        stored = self._objects.get(KEY)
        if stored is None:
            return None, 0, None
        try:
            body = json.loads(stored.body)
            return body["holder"], int(body.get("fence", 0)), stored.etag
        except (ValueError, KeyError, TypeError) as error:
            raise ReleaseError(
                f"{KEY} of {self._stack} cannot be read", why=str(error), next_step="an administrator must look at it"
            ) from error

    def _body(self, what: str, fence: int) -> bytes:
        holder = {"run": self._run.model_dump(), "since": self._clock.stamp(), "what": what}
        return canonical_json({"schema": 1, "fence": fence, "holder": holder})

    def is_ours(self, other: Run) -> bool:
        """Return whether the lease of `other` may be taken over at once: our own CI run, or a dead process here."""
        if other.id == self._run.id or other.id.split(".")[0] == self._run.id.split(".")[0]:
            return True  # another job or attempt of our own CI run: jobs of one run that take the lease never overlap
        return other.id.startswith("local-") and other.host == self._run.host and not is_alive(other.pid)


def _free(fence: int) -> bytes:
    return canonical_json({"schema": 1, "fence": fence, "holder": None})
