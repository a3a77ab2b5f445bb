"""The ledger: what happened to which release, in the bucket of its environment.

`ledger/entries/00000001.json` and so on are written once each and name the digest of the entry before, so that none can
be changed, removed or slipped in unseen. `ledger/head.json` points at the last one and carries the view that follows
from all of them; it moves by compare-and-swap. An entry is written BEFORE the step that it names.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from release.canonical import canonical_json, sha256
from release.clock import Clock
from release.errors import ReleaseError
from release.ledger.lifecycle import (
    Decision,
    Deployment,
    Entry,
    LedgerState,
    ReleaseId,
    Run,
    State,
    check,
)
from release.ledger.objects import AlreadyThereError, LostError, ObjectStore, Stored
from release.processes import machine, started

HEAD: Final = "ledger/head.json"
_FIRST: Final = "0" * 64
_ENTRIES: Final = "ledger/entries/"
_TRIES: Final = 20
_SHOWN: Final = 5


def this_run(environment: Mapping[str, str] = os.environ) -> Run:
    """Return who is running: the CI run, attempt and job where there is one, and this process."""
    here: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
    here |= {"machine": machine(), "began": started(os.getpid())}
    number = environment.get("GITHUB_RUN_ID")
    if not number:
        return Run(id=f"local-{uuid.uuid4().hex[:12]}", actor=_user(), **here)
    repository, server = environment.get("GITHUB_REPOSITORY", ""), environment.get("GITHUB_SERVER_URL", "")
    return Run(
        id=f"{number}.{environment.get('GITHUB_RUN_ATTEMPT', '1')}",
        actor=environment.get("GITHUB_ACTOR", ""),
        url=f"{server}/{repository}/actions/runs/{number}" if server and repository else "",
        repository=repository,
        job=environment.get("GITHUB_JOB", ""),
        **here,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def entry_key(seq: int) -> str:
    """Return where entry number `seq` lies."""
    return f"{_ENTRIES}{seq:08d}.json"


class _LedgerHead(BaseModel):
    """The last entry of the chain, and the state that follows from all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(default=1, alias="schema")
    seq: int
    entry: str
    """Digest of that entry."""
    view: LedgerState
    etag: str | None = Field(default=None, exclude=True)

    def body(self) -> bytes:
        return canonical_json(self.model_dump(mode="json", by_alias=True))

    def after(self, entry: Entry, body: bytes) -> _LedgerHead:
        return _LedgerHead(seq=entry.seq, entry=sha256(body), view=self.view.after(entry))


class Ledger:
    """The ledger of one environment, written as `run`."""

    def __init__(self, objects: ObjectStore, stack: str, run: Run, clock: Clock) -> None:
        self.objects = objects
        self.stack = stack
        self.run = run
        self.fence = 0
        """Number of the lease that this run holds."""
        self._clock = clock

    def view(self) -> LedgerState:
        """Return what the ledger says now."""
        return self._head(writing=False).view

    def append(
        self,
        state: State,
        *,
        release: ReleaseId | None = None,
        reason: str = "",
        served: Deployment | None = None,
        **details: Any,
    ) -> Entry:
        """Write that this run enters `state`.

        Raises:
            LeaseLost: Another run has written under a newer lease.
            IllegalStepError: The lifecycle does not allow it (another run has changed the state in between).
        """
        return self._write(state, release, reason, served, details)

    def decide(self, decision: Decision, *, release: ReleaseId | None = None, reason: str, **details: Any) -> Entry:
        """Write what a person decided."""
        return self._write(decision, release, reason, None, details)

    def _write(
        self,
        state: State | Decision,
        release: ReleaseId | None,
        reason: str,
        served: Deployment | None,
        details: dict[str, Any],
    ) -> Entry:
        for _ in range(_TRIES):
            head = self._head(writing=True)
            check(head.view, state, self.run, self.fence)
            entry = Entry(
                seq=head.seq + 1,
                previous=head.entry,
                at=self._clock.stamp(),
                stack=self.stack,
                state=state,
                run=self.run,
                release=release,
                reason=reason,
                served=served,
                details=details,
                fence=self.fence,
            )
            try:
                self._create(entry_key(entry.seq), _body(entry))
            except AlreadyThereError:
                continue  # somebody else wrote that number: look again whether the step is still allowed
            # The entry holds from here on. The next reader moves the head where this fails.
            with contextlib.suppress(ReleaseError):
                self._advance(head, entry, _body(entry))
            return entry
        raise ReleaseError(
            f"could not write {state} into the ledger of {self.stack} in {_TRIES} tries",
            why="other runs write into it all the time",
            next_step=f"release history --stack {self.stack}",
        )

    def _create(self, key: str, body: bytes) -> None:
        try:
            self.objects.create(key, body)
        except ReleaseError:
            # The answer may be lost although the entry is stored.
            stored = self.objects.get(key)
            if stored is None or stored.body != body:
                raise

    def entries(self, newest: int | None = None) -> list[Entry]:
        """The last `newest` entries (all if `None`), oldest first."""
        head = self._head(writing=False)
        first = 1 if newest is None else max(1, head.seq - newest + 1)
        return [entry for _, entry in self._read(first, head.seq)]

    def newest_first(self, most: int) -> Iterator[Entry]:
        """The last `most` entries, each read when it is asked for."""
        head = self._head(writing=False)
        for seq in range(head.seq, max(0, head.seq - most), -1):
            yield self.entry(seq)

    def entry(self, seq: int) -> Entry:
        """Entry number `seq`."""
        return next(self._read(seq, seq))[1]

    def verify(self) -> list[str]:
        """Return what is wrong with the chain, in sentences; an empty list means that every entry is as it was written.

        Only an administrator could take away the last entries AND write a head that fits; what the head was before
        would still be seen in the versions of that object.
        """
        while True:
            head = self.objects.get(HEAD)
            problems = self._problems(head)
            if not problems or self.objects.get(HEAD) == head:
                return problems
            # A run has written in between: what was read does not fit together.

    def _problems(self, stored: Stored | None) -> list[str]:
        try:
            head = self._first() if stored is None else _parse_head(stored, self.stack)
        except ReleaseError as error:
            return [error.what]
        there = set(self.objects.keys(_ENTRIES))
        # A run that died may have left one entry that the head does not name yet: the next run moves it first.
        last = head.seq + (entry_key(head.seq + 1) in there)
        strange = sorted(there - {entry_key(seq) for seq in range(1, last + 1)})
        problems = [f"{key} is no entry of this chain" for key in strange[:_SHOWN]]
        problems += [f"and {len(strange) - _SHOWN} more"] if len(strange) > _SHOWN else []
        if stored is None and there - {entry_key(1)}:
            problems.append("the head is missing, although there are entries")
        previous, view = _FIRST, LedgerState(stack=self.stack)
        try:
            for seq, (body, entry) in enumerate(self._read(1, last), start=1):
                if entry.seq != seq:
                    problems.append(f"entry {seq} calls itself {entry.seq}")
                if entry.previous != previous:
                    problems.append(f"entry {seq} does not follow the entry before it (changed, removed or slipped in)")
                previous, view = sha256(body), view.after(entry)
                if seq == head.seq and previous != head.entry:
                    problems.append(f"the head does not point at entry {seq} as it lies there")
                if seq == head.seq and view != head.view:
                    problems.append("the head tells another story than the entries")
        except ReleaseError as error:
            problems.append(error.what)
        return problems

    def confirmed(self, wanted: str) -> Deployment:
        """A release that was confirmed before: `wanted` is `previous`, or the start of a manifest digest or SHA."""
        view = self.view()
        if wanted == "previous":
            current = view.confirmed.release.digest if view.confirmed else ""
            confirmed = [place.release.digest for place in view.confirmations]
            # Before the current one: what was confirmed after it is what a rollback has left.
            until = len(confirmed) - confirmed[::-1].index(current) if current in confirmed else len(confirmed)
            places = [place for place in view.confirmations[:until] if place.release.digest != current][-1:]
        else:
            places = [
                place
                for place in view.confirmations
                if place.release.digest.startswith(wanted) or place.release.sha.startswith(wanted)
            ]
        fitting = len({place.release.digest for place in places})
        if fitting != 1:
            known = ", ".join(str(place.release) for place in view.confirmations) or "none"
            raise ReleaseError(
                f"{wanted!r} fits {fitting} confirmed releases"
                if fitting
                else f"{wanted!r} is not a release that was confirmed in {self.stack}",
                why=f"confirmed so far (the last ten): {known}",
                next_step=f"release history --stack {self.stack}",
            )
        entry = self.entry(places[-1].seq)
        if entry.served is None:
            raise _damaged(entry_key(entry.seq), "it confirms nothing")
        return entry.served

    def _head(self, *, writing: bool) -> _LedgerHead:
        """Return where the chain ends. A reader leaves the head as it lies; a writer brings it up to date first."""
        stored = self.objects.get(HEAD)
        head = self._first() if stored is None else _parse_head(stored, self.stack)
        while True:
            ahead = self.objects.get(entry_key(head.seq + 1))
            if ahead is None:
                return head
            # The run that wrote this entry died before it moved the head.
            entry = _parse_entry(ahead.body, head.seq + 1)
            if entry.previous != head.entry:
                raise _damaged(entry_key(entry.seq), "it does not follow the entry before it")
            head = self._advance(head, entry, ahead.body) if writing else head.after(entry, ahead.body)

    def _first(self) -> _LedgerHead:
        return _LedgerHead(seq=0, entry=_FIRST, view=LedgerState(stack=self.stack))

    def _advance(self, head: _LedgerHead, entry: Entry, body: bytes) -> _LedgerHead:
        moved = head.after(entry, body)
        try:
            etag = self.objects.swap(HEAD, moved.body(), head.etag)
        except LostError:
            stored = self.objects.get(HEAD)
            if stored is None:
                raise _damaged(HEAD, "it has gone") from None
            return _parse_head(stored, self.stack)
        return moved.model_copy(update={"etag": etag})

    def _read(self, first: int, last: int) -> Iterator[tuple[bytes, Entry]]:
        for seq in range(first, last + 1):
            stored = self.objects.get(entry_key(seq))
            if stored is None:
                raise _damaged(entry_key(seq), "it is missing")
            yield stored.body, _parse_entry(stored.body, seq)


def _body(entry: Entry) -> bytes:
    return canonical_json(entry.model_dump(mode="json", by_alias=True))


def _parse_head(stored: Stored, stack: str) -> _LedgerHead:
    try:
        head = _LedgerHead.model_validate_json(stored.body)
    except ValidationError as error:
        raise _damaged(HEAD, str(error)) from error
    # What an older releaser left out is filled in; beside that, there is one spelling only.
    if canonical_json(head.model_dump(mode="json", by_alias=True, exclude_unset=True)) != stored.body:
        raise _damaged(HEAD, "it is not spelled as the releaser spells it")
    if head.view.stack != stack:
        raise _damaged(HEAD, f"it is the head of {head.view.stack}, not of {stack}")
    return head.model_copy(update={"etag": stored.etag})


def _parse_entry(body: bytes, seq: int) -> Entry:
    try:
        return Entry.model_validate_json(body)
    except ValidationError as error:
        raise _damaged(entry_key(seq), str(error)) from error


def _damaged(key: str, why: str) -> ReleaseError:
    return ReleaseError(
        f"the ledger cannot be read: {key}: {why}",
        why="entries are written once and nobody may delete them, so an administrator must have",
        next_step="look at the versions of that object in the bucket and at the trail (CloudTrail)",
    )
