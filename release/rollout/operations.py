"""What people and the watchdog do between releases: block, freeze, unlock, and take back what a dead run left."""

from __future__ import annotations

from typing import Any

from release.artifacts.store import PromotionStore
from release.artifacts.tools import ENGINE, PROGRAM, RELEASER, of_engine, of_releaser
from release.context import Context
from release.errors import Refused, ReleaseError, UsageError
from release.ledger.lifecycle import (
    UNCHANGED,
    Decision,
    Entry,
    LedgerState,
    Override,
    ReleaseId,
    Run,
    State,
    refuse_stopped,
)
from release.oncall.pager import page
from release.reports import DecisionReport, IdleReport, KeptReport, Report
from release.rollout import bake
from release.rollout.rollback import rollback
from release.traffic.aliases import Astray, astray
from release.traffic.bake import taken_back


def block(context: Context, release: ReleaseId, reason: str) -> DecisionReport:
    """Forbid a release for good, or until `unblock`; under way it is rolled back at its next look."""
    entry = _decide(context, Decision.BLOCKED, reason, release=release)
    view, at = context.ledger.view(), f"--stack {context.stack} --reason ..."
    undo = f"undo it: release unblock {release.digest[:12]} {at}"
    if view.attempt is not None and view.attempt.release == release:
        undo = f"{_fate(view)}; {undo}"
    elif view.confirmed is not None and view.confirmed.release == release:
        undo = (
            f"it stays live: release rollback --stack {context.stack} --to previous --reason ... takes it back; {undo}"
        )
    told = f"release {release} is blocked in {context.stack} since entry {entry.seq}: {reason}; {undo}"
    return DecisionReport(
        stack=context.stack, sha=release.sha, manifest=release.digest, blocked=reason, told=told, entry=entry.seq
    )


def unblock(context: Context, release: ReleaseId, reason: str) -> DecisionReport:
    """Let a blocked release be promoted again."""
    why = context.ledger.view().blocked.get(release.digest)
    if why is None:
        raise UsageError(f"release {release} is not blocked in {context.stack}", next_step="release status")
    entry = _decide(context, Decision.UNBLOCKED, reason, release=release, was=why)
    told = f"release {release} may be promoted to {context.stack} again since entry {entry.seq}: {reason}; "
    told += f"undo it: release block {release.digest[:12]} --stack {context.stack} --reason ..."
    return DecisionReport(
        stack=context.stack,
        sha=release.sha,
        manifest=release.digest,
        unblocked=reason,
        was=why,
        told=told,
        entry=entry.seq,
    )


def freeze(context: Context, reason: str, *, frozen: bool) -> DecisionReport:
    """Stop promotions, the one under way too, or open them again. A rollback is never stopped.

    A release that is LIVE is rolled back as well: until it is confirmed, what users shall be left with while nobody
    changes anything is the release before it.
    """
    if not frozen and not context.ledger.view().frozen:
        return DecisionReport(stack=context.stack, told=f"{context.stack} is not frozen: nothing was changed")
    entry = _decide(context, Decision.FROZEN if frozen else Decision.THAWED, reason)
    holds = "frozen" if frozen else "open for promotions"
    told = f"{context.stack} is {holds} since entry {entry.seq}: {reason}; "
    told += f"{fate}; " if frozen and (fate := _fate(context.ledger.view())) else ""
    told += f"undo it: release freeze {'off' if frozen else 'on'} --stack {context.stack} --reason ..."
    frozen_by = reason if frozen else ""
    return DecisionReport(stack=context.stack, frozen=frozen_by, reason=reason, told=told, entry=entry.seq)


def _fate(view: LedgerState) -> str:
    """What becomes of the release under way, now that a person has decided."""
    if view.attempt is None or view.attempt.state is State.ROLLING_BACK:
        return ""
    under_way = f"release {view.attempt.release}, which is {view.attempt.state}"
    try:
        refuse_stopped(view)
    except Refused:
        back = "refused, or rolled back," if view.attempt.state in UNCHANGED else "rolled back"
        return f"{under_way}, is {back} at its next look"
    return f"{under_way}, goes on, promoted despite a freeze (release block stops it)"


def unlock(context: Context, reason: str) -> DecisionReport:
    """Free the lease, whoever holds it: for a person who knows that the run is over."""
    _reason(reason)
    holder = context.lease.holder()
    if holder is None:
        told = f"nobody holds the lease of {context.stack}: nothing was changed"
        return DecisionReport(stack=context.stack, freed=None, reason=reason, told=told)
    # Before the act, so that no lease is ever freed without a word about it.
    entry = context.ledger.decide(Decision.UNLOCKED, reason=reason, holder=holder)
    freed = context.lease.break_open()
    told = (
        f"the lease of {context.stack} is free since entry {entry.seq}: {reason}; run {holder['run']['id']} held it. "
    )
    told += f"This cannot be undone; take back what it left: release reap --stack {context.stack}"
    return DecisionReport(stack=context.stack, freed=freed, reason=reason, told=told, entry=entry.seq)


def keep(context: Context) -> KeptReport:
    """Keep what a rollback runs with in the environment's own bucket: before a release begins, and once for a lock.

    Raises:
        UsageError: Nothing of this environment is ever rolled back.
    """
    if context.stack == "preprod":
        raise UsageError("preprod is not rolled back, so it needs no tools for that", next_step="release deploy ...")
    tools, confirmed = context.tools, context.ledger.view().confirmed
    keys = [tools.keep(RELEASER, context.repo, of_releaser()), tools.keep(ENGINE, context.repo, of_engine())]
    if confirmed is not None:
        with context.program(context.releases.confirmed_program(confirmed)) as stack:
            made = (stack.program / ".venv").resolve().parent
            keys.append(tools.keep(PROGRAM, made, [made]))
    return KeptReport(stack=context.stack, kept=tuple(keys))


def reap(context: Context) -> Report:
    """Take back what a run left that is known to be over. Never goes forward, and leaves a living run alone.

    What an alarm has begun while a release was baking is finished: that release is rolled back.
    Where all is at rest, weights that no run has set are taken off the stable version. An alias that stands on another
    version is left to a person, who may have moved it for a reason.

    Raises:
        ReleaseError: A run has stopped and nobody can tell whether it is over.
    """
    view, holder = context.ledger.view(), context.lease.holder()
    attempt = view.attempt
    if context.stack == "preprod" and holder is None:
        attempt = None  # it waits for its tests, or has failed: the next deploy repairs it, and needs no lease for that
    run = attempt.run if attempt else (Run.model_validate(holder["run"]) if holder else None)
    why = alive(context, run) if run else None
    if run is not None and why is not None:
        context.console.line(f"Run {run.id} is left alone: {why}.")
        return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True, left_alone=run.id)
    if context.stack != "preprod" and view.to_roll_back:
        died = f"run {run.id} died in {view.state}" if run else "an earlier rollback is not complete"
        return rollback(context, None, died, by_machine=True)
    if run is not None:
        with context.leased("reap", later_job=True):
            pass  # taking the lease over ends what its owner had begun
        left = "the next deploy repairs what it left" if view.under_way else "it had changed nothing"
        context.console.line(f"Run {run.id} died and its lease is free: {left}.")
        view = context.ledger.view()
    if taken_back(context.traffic, view):
        return bake.finish(context)
    if run is not None:
        return IdleReport(stack=context.stack, state=view.state, reaped=run.id)
    if _weights(context, view):
        return _take_off_weights(context)
    stands = f"{context.stack} is {view.state or 'untouched'}"
    context.console.line(f"Nothing to reap: {stands}, and nobody holds its lease.")
    return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True)


def _weights(context: Context, view: LedgerState) -> list[Astray]:
    """The functions whose stable version shares `live` by weights that no run has set; empty unless all is at rest."""
    if view.attempt is not None or view.state not in {State.CONFIRMED, State.ROLLED_BACK} or view.confirmed is None:
        return []
    stable = view.confirmed.stable
    there = {function: context.traffic.alias(function) for function in stable}
    return [one for one in astray(there, stable) if one.only_weights]


def _take_off_weights(context: Context) -> IdleReport:
    with context.leased("take weights off that no run has set"):
        view = context.ledger.view()
        found = _weights(context, view)
        if found:
            weights = {one.function: one.live.weights for one in found if one.live}
            told = [str(one) for one in found]
            context.ledger.decide(Decision.RESTORED, reason="; ".join(told), weights=weights)
            page(context, f"{context.stack}: weights that no run has set are taken off", told)
        for one in found:
            context.traffic.move(one.function, str(one.recorded))
            context.console.line(f"{one}: taken off, all of it goes to version {one.recorded}")
    return IdleReport(stack=context.stack, state=view.state)


def alive(context: Context, run: Run) -> str | None:
    """Return why `run` may still be alive; `None` when it is known to be over."""
    if context.lease.is_ours(run, later_job=True):
        return None
    holder = context.lease.holder()
    if holder is None or Run.model_validate(holder["run"]) != run:
        return None  # who has no lease changes nothing any more: it was given back, or a person has freed it
    if run.id.startswith("local-"):
        return f"process {run.pid} on {run.host}: it runs there, or cannot be seen from here"
    if context.github is None:
        return "only GitHub can say whether it has ended, and there is no GITHUB_TOKEN"
    try:
        return None if context.github.run_has_ended(run.id) else "GitHub says that it has not ended"
    except ReleaseError as error:
        return f"GitHub does not say whether it has ended: {error.what} {error.why}"


def page_despite(context: Context, release: ReleaseId, despite: Override) -> None:
    """Tell the person on call which rules somebody has overridden, and why, and what a shell has changed of them."""
    lines = [f"rule overridden: {rule}, because: {reason}" for rule, reason in despite.given.items()]
    lines += [f"judged otherwise than by the table: {name}={value}" for name, value in context.changed.items()]
    if not lines:
        return
    page(context, f"{context.stack}: {release.sha[:7]} is promoted despite a rule", lines, release=release)


def named(context: Context, wanted: str) -> ReleaseId:
    """The release that a digest or a commit means, as preprod or the ledger knows it.

    Raises:
        UsageError: Nothing, or more than one release, is meant.
    """
    view = context.ledger.view()
    known = {place.release.digest: place.release for place in view.confirmations}
    for entry in context.ledger.entries(200):
        if entry.release:
            known[entry.release.digest] = entry.release
    found = [release for release in known.values() if wanted and release.fits(wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        offered = _offered(context.promotions, wanted)
        if offered is not None:
            return offered
    raise UsageError(
        f"{wanted!r} names {len(found) or 'no'} release{'s' if len(found) != 1 else ''} that {context.stack} knows",
        next_step=f"release history --stack {context.stack}",
    )


def _offered(promotions: PromotionStore, wanted: str) -> ReleaseId | None:
    try:
        digest = promotions.digest_of(wanted) if len(wanted) == 40 else wanted  # noqa: PLR2004 -- digits of a SHA
        manifest = promotions.manifest(digest)
    except (Refused, ValueError):
        return None
    return ReleaseId(digest=manifest.digest, sha=manifest.sha)


def _decide(context: Context, decision: Decision, reason: str, **about: Any) -> Entry:
    if context.stack == "preprod":
        raise UsageError(
            "nothing is promoted to preprod, so nothing there is frozen or blocked", next_step="name it: --stack prod"
        )
    return context.ledger.decide(decision, reason=_reason(reason), **about)


def _reason(reason: str) -> str:
    if not reason.strip():
        raise UsageError("a reason is needed", why="it is kept in the ledger for whoever asks later")
    return reason
