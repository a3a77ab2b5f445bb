"""What people and the watchdog do between releases: block, freeze, unlock, and take back what a dead run left."""

from __future__ import annotations

from release.artifacts.store import PromotionStore
from release.context import Context
from release.errors import Refused, ReleaseError, UsageError
from release.ledger.lifecycle import CHANGING, Decision, Override, ReleaseId, Run, State
from release.oncall.pager import page
from release.reports import DecisionReport, IdleReport, Report
from release.rollout.rollback import rollback
from release.rules import RefusalRule


def block(context: Context, release: ReleaseId, reason: str) -> DecisionReport:
    """Forbid a release for good, or until `unblock`."""
    context.ledger.decide(Decision.BLOCKED, release=release, reason=_reason(reason))
    return DecisionReport(stack=context.stack, sha=release.sha, manifest=release.digest, blocked=reason)


def unblock(context: Context, release: ReleaseId, reason: str) -> DecisionReport:
    """Let a blocked release be promoted again."""
    why = context.ledger.view().blocked.get(release.digest)
    if why is None:
        raise UsageError(f"release {release} is not blocked in {context.stack}", next_step="release status")
    context.ledger.decide(Decision.UNBLOCKED, release=release, reason=_reason(reason), was=why)
    return DecisionReport(stack=context.stack, sha=release.sha, manifest=release.digest, unblocked=reason, was=why)


def freeze(context: Context, reason: str, *, frozen: bool) -> DecisionReport:
    """Stop promotions, or open them again. A rollback is never stopped."""
    context.ledger.decide(Decision.FROZEN if frozen else Decision.THAWED, reason=_reason(reason))
    return DecisionReport(stack=context.stack, frozen=reason if frozen else "", reason=reason)


def unlock(context: Context, reason: str) -> DecisionReport:
    """Free the lease, whoever holds it: for a person who knows that the run is over."""
    _reason(reason)
    holder = context.lease.holder()
    if holder is not None:
        # Before the act, so that no lease is ever freed without a word about it.
        context.ledger.decide(Decision.UNLOCKED, reason=reason, holder=holder)
    freed = context.lease.break_open() if holder else None
    return DecisionReport(stack=context.stack, freed=freed, reason=reason)


def reap(context: Context) -> Report:
    """Take back what a run left that is known to be over. Never goes forward, and leaves a living run alone.

    Raises:
        ReleaseError: A run has stopped and nobody can tell whether it is over.
    """
    view, holder = context.ledger.view(), context.lease.holder()
    attempt = view.attempt
    if view.state is State.ROLLBACK_FAILED and holder is None:
        return rollback(context, None, "traffic may still reach the release that failed", by_machine=True)
    run = attempt.run if attempt else (Run.model_validate(holder["run"]) if holder else None)
    if run is None:
        stands = f"{context.stack} is {view.state or 'untouched'}"
        context.console.line(f"Nothing to reap: {stands}, and nobody holds its lease.")
        return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True)
    why = alive(context, run)
    if why is not None:
        context.console.line(f"Run {run.id} is left alone: {why}.")
        return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True, left_alone=run.id)
    if attempt is not None and attempt.state in CHANGING:
        return rollback(context, None, f"run {run.id} died in {attempt.state}", by_machine=True)
    with context.leased("reap", take_over=True):
        now = context.ledger.view().attempt
        if now is not None and now == attempt:
            context.ledger.append(
                State.REFUSED,
                release=now.release,
                reason=f"run {run.id} died before it changed anything",
                rule=RefusalRule.RUN_DIED.label,
                ended_run=run.id,
            )
    context.console.line(f"Run {run.id} died and had changed nothing; its lease is free.")
    return IdleReport(stack=context.stack, state=context.ledger.view().state, reaped=run.id)


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
    """Tell the person on call which rules somebody has overridden, and why."""
    if not despite.given:
        return
    lines = [f"rule overridden: {rule}, because: {reason}" for rule, reason in despite.given.items()]
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


def _reason(reason: str) -> str:
    if not reason.strip():
        raise UsageError("a reason is needed", why="it is kept in the ledger for whoever asks later")
    return reason
