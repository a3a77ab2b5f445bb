"""Whether releases can go on: what the ledger says, who holds the lease, what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from components.github_rules import BRANCH
from components.service.functions import KEYS
from components.settings import Settings
from release.clients.github import WaitingRun
from release.doctor.check import Check, Judgement, Verdict, conclude
from release.doctor.place import CannotLookError, Place, Unseen, explain
from release.errors import ReleaseError
from release.git.commit import find_commit
from release.git.history import steps_between
from release.git.plumbing import try_git
from release.ledger.lifecycle import Attempt, Run, State, View
from release.oncall import advice
from release.rollout.operations import alive

_WORKFLOWS: Final = ("build-and-promote.yml", "deploy-prod.yml")
_LONG: Final = timedelta(days=1)
_TOO_LONG: Final = timedelta(days=3)
_MOST_COMMITS: Final = 1000


def _ledger(place: Place) -> list[str]:
    return place.context.ledger.verify()


def judge_ledger(_: Settings, problems: Sequence[str]) -> Judgement:
    """Every entry is the one that was written."""
    return conclude("every entry is the one that was written", problems=problems)


def _view(place: Place) -> View:
    return place.context.ledger.view()


def judge_state(_: Settings, view: View) -> Judgement:
    """Nothing waits for a person, and promotions are open."""
    problems, warnings = [], []
    if view.state in {State.ROLLBACK_FAILED, State.ROLLED_BACK_TRAFFIC}:
        problems.append(f"the last rollback ended in {view.state}: {advice.next_step(view)}")
    elif view.state is State.ROLLED_BACK:
        warnings.append("the last release was rolled back")
    if view.state is None:
        warnings.append("nothing was ever released here")
    if view.frozen:
        warnings.append(f"promotions are frozen: {view.frozen}")
    if view.contract_pending:
        warnings.append("the confirmed release has left things to delete")
    return conclude(f"{view.state}, open for the next release", problems=problems, warnings=warnings)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds the lease, or has left an attempt; `alive` says why that run may still be alive, if it may."""

    holder: Run | None
    attempt: Attempt | None
    alive: str | None
    certain: bool
    """Whether it is known that the run lives."""


def _lease(place: Place) -> Lease:
    held = place.context.lease.holder()
    holder = Run.model_validate(held["run"]) if held else None
    # In preprod a release may wait for its tests without a lease.
    attempt = place.context.ledger.view().attempt if place.context.stack != "preprod" else None
    run = holder or (attempt.run if attempt else None)
    if run is None:
        return Lease(None, None, None, certain=True)
    if holder is None and place.context.lease.holder() is not None:
        raise CannotLookError("a run has begun at this moment: ask again")
    certain = holder is None or holder.host == place.context.run.host
    if holder is not None and not holder.id.startswith("local-"):
        place.github.run_has_ended(holder.id)  # raises where GitHub cannot say, so that "unknown" is told as such
        certain = True
    return Lease(holder, attempt, alive(place.context, run), certain)


def judge_lease(_: Settings, lease: Lease) -> Judgement:
    """Free, or held by a run that lives."""
    run = lease.holder or (lease.attempt.run if lease.attempt else None)
    if run is None:
        return conclude("nobody holds it")
    told = f"run {run.id} of {run.actor}"
    if lease.holder is None:
        return conclude(
            "", problems=[f"{told} has left {lease.attempt and lease.attempt.state} without a lease: it died"]
        )
    if lease.alive is None:
        return conclude("", problems=[f"{told} holds it and has ended"])
    if not lease.certain:
        return conclude("", unseen=[f"{told} holds it: {lease.alive}"])
    return Judgement(Verdict.OK, f"{told} holds it and lives: {lease.alive}")


@dataclass(frozen=True, slots=True)
class Schedules:
    """When which function's traffic would be taken back, and whether a run holds the lease."""

    pending: dict[str, datetime]
    leased: bool


def _schedules(place: Place) -> Schedules:
    # The schedules first: a run removes them before it gives the lease back.
    pending = place.context.safety.pending(KEYS)
    return Schedules(pending, place.context.lease.holder() is not None)


def judge_schedules(_: Settings, schedules: Schedules) -> Judgement:
    """None is left over: it would move traffic when nobody expects it."""
    if schedules.leased:
        return conclude(f"{len(schedules.pending)} set by the run that is at work")
    left = [f"{name} goes back at {at:%Y-%m-%d %H:%M} UTC" for name, at in sorted(schedules.pending.items())]
    return conclude("none is left over", problems=[f"{one}, and no run holds the lease" for one in left])


@dataclass(frozen=True, slots=True)
class Waiting:
    """Runs of the workflows that wait for an approval or a runner, and the time now."""

    runs: Sequence[WaitingRun]
    now: datetime


def _waiting(place: Place) -> Waiting:
    runs = {run.id: run for file in _WORKFLOWS for run in place.github.waiting_runs(file)}
    return Waiting(list(runs.values()), place.context.clock.now())


def judge_waiting(_: Settings, waiting: Waiting) -> Judgement:
    """No approval is forgotten."""
    problems, warnings = [], []
    for run in waiting.runs:
        since = datetime.fromisoformat(run.created_at)
        told = f"run {run.id} of {run.head_sha[:12]} is {run.status} since {since:%Y-%m-%d %H:%M} UTC: {run.url}"
        if waiting.now - since > _TOO_LONG:
            problems.append(told)
        elif waiting.now - since > _LONG:
            warnings.append(told)
    short = len(waiting.runs) - len(problems) - len(warnings)
    return conclude(f"{short} wait, none for long", problems=problems, warnings=warnings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Main:
    """What main holds that production does not.

    Args:
        head: Newest commit of main.
        source: Who said so.
        confirmed: Commit that production serves; empty where nothing was released.
        behind: How many commits main is ahead.
        since: When the oldest of them was made; `None` where there is none.
        waits: Whether a run waits that could bring them.
        now: The time.
    """

    head: str
    source: str
    confirmed: str
    behind: int
    since: datetime | None
    waits: bool | Unseen
    now: datetime


def _main(place: Place) -> Main:
    served = place.context.ledger.view().confirmed
    confirmed = served.release.sha if served else ""
    head, source = _head(place)
    steps = steps_between(place.context.repo, confirmed, head, _MOST_COMMITS) if confirmed not in {"", head} else []
    since = min((find_commit(place.context.repo, step.sha).committed_at for step in steps), default=None)
    try:
        waits: bool | Unseen = bool(_waiting(place).runs)
    except (ReleaseError, CannotLookError) as error:
        waits = Unseen(explain(error))
    return Main(
        head=head,
        source=source,
        confirmed=confirmed,
        behind=len(steps),
        since=since,
        waits=waits,
        now=place.context.clock.now(),
    )


def _head(place: Place) -> tuple[str, str]:
    """Newest commit of main: from GitHub's API, else from the remote that this clone came from."""
    try:
        return str(place.github.document(f"commits/{BRANCH}")["sha"]), "GitHub"
    except (ReleaseError, CannotLookError) as error:
        asked = try_git(place.context.repo, "ls-remote", "--exit-code", "origin", f"refs/heads/{BRANCH}")
        if asked.returncode != 0:
            raise CannotLookError(f"{explain(error)}; and this clone has no origin that answers") from error
        return asked.stdout.decode().split()[0], "the origin of this clone"


def judge_main(_: Settings, main: Main) -> Judgement:
    """Production serves main, or is on its way there."""
    if not main.confirmed:
        return conclude("", warnings=["nothing was ever released"])
    if not main.behind or main.since is None:
        return conclude(f"production serves {main.head[:12]}, as {main.source} says of {BRANCH}")
    days = (main.now - main.since) / timedelta(days=1)
    told = f"production is {main.behind} commits behind {main.head[:12]}, the oldest is {days:.1f} days old"
    if isinstance(main.waits, Unseen):
        told += f" (whether a run waits is unknown: {main.waits.why})"
    elif main.waits:
        return conclude("", warnings=[f"{told}; a run waits"])
    late = main.now - main.since > _LONG
    return conclude("", problems=[f"{told}, and no run waits"] if late else (), warnings=() if late else [told])


CHECKS: Final = (
    Check(
        name="releases.ledger",
        asks="S3 for every entry of the ledger and its head",
        good="each is the one that was written (`release history --verify`)",
        mend="read the versions of those objects and the trail; docs/runbook.md",
        look=_ledger,
        judge=judge_ledger,
    ),
    Check(
        name="releases.state",
        asks="the ledger for the last state, freezes, and what waits for a person",
        good="the last rollback is complete (rolled back, frozen, or never released is a warning)",
        mend="release status --stack {stack} says what to do",
        look=_view,
        judge=judge_state,
    ),
    Check(
        name="releases.lease",
        asks="the lease for its holder, and GitHub whether that run has ended",
        good="nobody holds it, or a run that lives",
        mend="release reap --stack {stack}; if nobody can see the run: release unlock --stack {stack} --reason ...",
        look=_lease,
        judge=judge_lease,
    ),
    Check(
        name="releases.schedules",
        asks="EventBridge Scheduler for safety schedules, and the lease for its holder",
        good="none without a run that holds the lease",
        mend="release reap --stack {stack}; then aws scheduler delete-schedule --name NAME",
        look=_schedules,
        judge=judge_schedules,
    ),
    Check(
        name="releases.waiting",
        asks="GitHub for runs that wait for an approval or a runner",
        good="none waits longer than a day (longer than three days has failed)",
        mend="approve or reject it",
        look=_waiting,
        judge=judge_waiting,
        in_account=False,
        environments=("prod",),
    ),
    Check(
        name="releases.main",
        asks=f"GitHub for the newest commit of {BRANCH}, the ledger for the confirmed one, git for those between",
        good="production serves it (behind for less than a day, or with a run that waits, is a warning)",
        mend="start build-and-promote.yml by hand: merges by GITHUB_TOKEN start nothing",
        look=_main,
        judge=judge_main,
        environments=("prod",),
        not_local="it knows no branches",
    ),
)
