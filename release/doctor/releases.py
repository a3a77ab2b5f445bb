"""Whether releases can go on: what the ledger says, who holds the lease, what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from components.github_rules import BRANCH
from components.service.functions import KEYS
from components.settings import Settings
from release.clients.github import WorkflowRun
from release.doctor.check import Notes, Unseen, Warned, check
from release.doctor.place import CannotLookError, Place
from release.git.commit import find_commit
from release.git.history import steps_between
from release.ledger.lifecycle import LedgerState, Run, State
from release.rollout.operations import alive

_WORKFLOWS: Final = ("build-and-promote.yml", "deploy-prod.yml")
_LONG: Final = timedelta(days=1)
_TOO_LONG: Final = timedelta(days=3)
_MOST_COMMITS: Final = 1000


@check(
    "releases.ledger",
    asks="S3 for every entry of the ledger and its head",
    expected="each is the one that was written (`release history --verify`)",
    fix="read the versions of those objects and the trail; docs/how-to/runbook.md",
    look=lambda place: place.context.ledger.verify(),
)
def _releases_ledger(_: Settings, problems: Sequence[str]) -> Notes:
    yield from problems
    return "every entry is the one that was written"


@check(
    "releases.state",
    asks="the ledger for the last state, freezes, and what waits for a person",
    expected="the last rollback is complete (rolled back, frozen, or never released is a warning)",
    fix="release status --stack {stack} says what to do",
    look=lambda place: place.context.ledger.view(),
)
def _releases_state(_: Settings, view: LedgerState) -> Notes:
    if view.state in {State.ROLLBACK_FAILED, State.ROLLED_BACK_TRAFFIC}:
        yield f"the last rollback ended in {view.state}: functions.aliases tells what users get"
    elif view.state is State.ROLLED_BACK:
        yield Warned("the last release was rolled back")
    if view.state is None:
        yield Warned("nothing was ever released here")
    if view.frozen:
        yield Warned(f"promotions are frozen: {view.frozen}")
    if view.contract_pending:
        yield Warned("the confirmed release has left things to delete")
    return f"{view.state}, open for the next release"


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseSeen:
    """The run that holds the lease, or that has left its attempt in the state `left` without a lease.

    `alive` says why it may still live, `certain` whether that is known.
    """

    run: Run | None = None
    left: State | None = None
    alive: str | None = None
    certain: bool = True


def _lease(place: Place) -> LeaseSeen:
    held, attempt = place.context.lease.holder(), place.context.ledger.view().attempt
    if held is None:
        # In preprod a release may wait for its tests without a lease.
        if attempt is None or place.context.stack == "preprod":
            return LeaseSeen()
        if place.context.lease.holder() is not None:
            raise CannotLookError("a run has begun at this moment: ask again")
        return LeaseSeen(run=attempt.run, left=attempt.state)
    run = Run.model_validate(held["run"])
    certain = run.machine == place.context.run.machine
    if not run.id.startswith("local-"):
        place.github.run_has_ended(run.id)  # raises where GitHub cannot say, so that "unknown" is told as such
        certain = True
    return LeaseSeen(run=run, alive=alive(place.context, run), certain=certain)


@check(
    "releases.lease",
    asks="the lease for its holder, and GitHub whether that run has ended",
    expected="nobody holds it, or a run that lives",
    fix="release reap --stack {stack}; if nobody can see the run: release unlock --stack {stack} --reason ...",
    look=_lease,
)
def _releases_lease(_: Settings, lease: LeaseSeen) -> Notes:
    if lease.run is None:
        return "nobody holds it"
    told = f"run {lease.run.id} of {lease.run.actor}"
    if lease.left is not None:
        yield f"{told} has left {lease.left} without a lease: it died"
    elif lease.alive is None:
        yield f"{told} holds it and has ended"
    elif not lease.certain:
        yield Unseen(f"{told} holds it: {lease.alive}")
    return f"{told} holds it and lives: {lease.alive}"


def _schedules(place: Place) -> tuple[dict[str, datetime], bool]:
    """Return the time at which each function's traffic would be taken back, and whether a run holds the lease."""
    # The schedules first: a run removes them before it gives the lease back.
    pending = place.context.failsafe.pending(KEYS)
    return pending, place.context.lease.holder() is not None


@check(
    "releases.schedules",
    asks="EventBridge Scheduler for safety schedules, and the lease for its holder",
    expected="none without a run that holds the lease",
    fix="release reap --stack {stack}; then aws scheduler delete-schedule --name NAME",
    look=_schedules,
)
def _releases_schedules(_: Settings, schedules: tuple[dict[str, datetime], bool]) -> Notes:
    """A schedule that is left over would move traffic when nobody expects it."""
    pending, leased = schedules
    if leased:
        return f"{len(pending)} set by the run that is at work"
    for name, at in sorted(pending.items()):
        yield f"{name} goes back at {at:%Y-%m-%d %H:%M} UTC, and no run holds the lease"
    return "none is left over"


def _waiting(place: Place) -> tuple[list[WorkflowRun], datetime]:
    """Runs of the workflows that wait for an approval or a runner, and the time now."""
    runs = {run.id: run for file in _WORKFLOWS for run in place.github.waiting_runs(file)}
    return list(runs.values()), place.context.clock.now()


@check(
    "releases.waiting",
    asks="GitHub for runs that wait for an approval or a runner",
    expected="none waits longer than a day (longer than three days has failed)",
    fix="approve or reject it",
    look=_waiting,
    in_account=False,
    environments=("prod",),
)
def _releases_waiting(_: Settings, waiting: tuple[Sequence[WorkflowRun], datetime]) -> Notes:
    runs, now = waiting
    for run in runs:
        told = f"run {run.id} of {run.head_sha[:12]} is {run.status} since {run.created:%Y-%m-%d %H:%M} UTC: {run.url}"
        if now - run.created > _TOO_LONG:
            yield told
        elif now - run.created > _LONG:
            yield Warned(told)
    return f"{len(runs)} wait, none for long"


@dataclass(frozen=True, kw_only=True, slots=True)
class Main:
    """Commits of main that production does not serve.

    Args:
        head: Newest commit of main.
        confirmed: Commit that production serves; empty where nothing was released.
        behind: How many commits main is ahead.
        since: When the oldest of them was made; `None` where there is none.
        waits: Whether a run waits that could bring them.
        now: The time.
    """

    head: str
    confirmed: str
    behind: int
    since: datetime | None
    waits: bool
    now: datetime


def _main(place: Place) -> Main:
    served = place.context.ledger.view().confirmed
    confirmed = served.release.sha if served else ""
    head = str(place.github.document(f"commits/{BRANCH}")["sha"])
    steps = steps_between(place.context.repo, confirmed, head, _MOST_COMMITS) if confirmed not in {"", head} else []
    since = min((find_commit(place.context.repo, step.sha).committed_at for step in steps), default=None)
    waiting, now = _waiting(place)
    return Main(head=head, confirmed=confirmed, behind=len(steps), since=since, waits=bool(waiting), now=now)


@check(
    "releases.main",
    asks=f"GitHub for the newest commit of {BRANCH}, the ledger for the confirmed one, git for those between",
    expected="production serves it (behind for less than a day, or with a run that waits, is a warning)",
    fix="start build-and-promote.yml by hand: merges by GITHUB_TOKEN start nothing",
    look=_main,
    environments=("prod",),
    not_local="it knows no branches",
)
def _releases_main(_: Settings, main: Main) -> Notes:
    fine = f"production serves {main.head[:12]}, the newest commit of {BRANCH}"
    if not main.confirmed:
        yield Warned("nothing was ever released")
    if not main.behind or main.since is None:
        return fine
    days = (main.now - main.since) / timedelta(days=1)
    told = f"production is {main.behind} commits behind {main.head[:12]}, the oldest is {days:.1f} days old"
    if main.waits:
        yield Warned(f"{told}; a run waits")
    elif main.now - main.since > _LONG:
        yield f"{told}, and no run waits"
    else:
        yield Warned(told)
    return fine
