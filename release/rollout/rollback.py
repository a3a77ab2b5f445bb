"""The way back: traffic first (seconds), then the stack, then the proof. Nobody is asked.

It needs the ledger, the environment's own bucket and AWS: no GitHub, no preprod, no build. Every step may fail; what
was reached is named in the ledger, a person is told the one command, and that command begins again where it must.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from release.analysis.verdict import Verdict
from release.analysis.watch import right_answers
from release.context import Context
from release.errors import ReleaseError, RollbackIncomplete, UsageError
from release.ledger.ledger import IllegalStepError
from release.ledger.lifecycle import Entry, ReleaseId, Served, State, View
from release.oncall.advice import how_to_treat
from release.oncall.pager import page
from release.pulumi.checkpoint import Mended, Named
from release.pulumi.stack import HandOver
from release.reports import IdleReport, NamedRelease, Report, RollbackReport
from release.rollout.reconcile import Way, converge, left_in_aws, mend_record, update, what_differs

MOST_TRIES: Final = 3
"""How often machines begin one and the same rollback; after that only a person does."""

_UNFINISHED: Final = frozenset({State.ROLLING_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED})
_LOOK_BACK: Final = 20


@dataclass(slots=True)
class Failure:
    """Why a release goes back, and since when that is known."""

    release: ReleaseId
    reason: str
    detected_s: float
    """Real seconds from the step that exposed the failure to the moment when it was known."""
    known_at: float
    """That moment, as `Clock.monotonic()` tells it."""
    verdicts: list[Verdict] = field(default_factory=list)


@dataclass(slots=True)
class _Progress:
    """How far the way back has got."""

    problems: list[str] = field(default_factory=list)
    traffic_problems: list[str] = field(default_factory=list)
    """Of the last try to move traffic."""
    warnings: list[str] = field(default_factory=list)
    traffic_is_safe: bool = False
    traffic_restored_s: float | None = None
    converged_s: float | None = None
    mended: Mended | None = None

    def tries(self, doing: str, work: Callable[[], None], problems: list[str] | None = None) -> bool:
        """Do a step; whatever goes wrong becomes a problem: the steps after it and the end must still be reached."""
        problems = self.problems if problems is None else problems
        try:
            work()
        except ReleaseError as error:
            problems.append(_said(error))
        except Exception as error:  # a mistake of ours must not cost the page and the entry
            problems.append(f"{doing}: the releaser itself failed: {type(error).__name__}: {error}")
        else:
            return True
        return False


def _said(error: ReleaseError) -> str:
    return f"{error.what}{f' ({error.why})' if error.why else ''}{f' - {error.next_step}' if error.next_step else ''}"


def go_back(context: Context, failure: Failure, target: Served | None) -> RollbackReport:
    """Bring the environment back to `target` (`None`: there never was a confirmed release) and return the report.

    Its `state` says how it ended. The lease must be held. A second interrupt leaves the ledger in ROLLING_BACK.
    """
    console, progress = context.console, _Progress()
    console.warn(f"going back from {failure.release}: {failure.reason}")
    unwritten = _write_rolling_back(context, failure, target)
    if target is None:
        if not unwritten or progress.tries("the ledger", lambda: _must_write(context, failure, target)):
            progress.tries("taking off traffic", lambda: _take_off_traffic(context, failure, progress))
    else:
        _restore_traffic(context, failure, target, progress)
        # Traffic comes before paper. All else is begun only when it is written: whoever goes on after us must know.
        if not unwritten or progress.tries("the ledger", lambda: _must_write(context, failure, target)):
            _bring_stack_back(context, failure, target, progress)
        if not progress.traffic_is_safe:
            _restore_traffic(context, failure, target, progress)  # what did not answer at first may do so by now
        if progress.traffic_is_safe:
            _remove_safety_schedules(context, target, progress)
    return _conclude(context, failure, target, progress)


def rollback(context: Context, to: str | None, reason: str, *, by_machine: bool = False) -> Report:
    """The command: finish what a dead run left, or go back to an earlier release; it asks the ledger first.

    Args:
        context: The environment.
        to: A confirmed release (digest, SHA or `previous`); `None`: finish what is unfinished.
        reason: Why; kept in the ledger.
        by_machine: Nobody looks at it: then a rollback that was begun `MOST_TRIES` times is left to a person.

    Raises:
        UsageError: `to` names nothing that was ever confirmed.
        RollbackIncomplete: Machines have tried often enough.
    """
    if context.stack == "preprod":
        raise UsageError(
            "preprod is not rolled back", why="the next build replaces what it serves", next_step="release deploy ..."
        )
    if not _something_to_do(context, context.ledger.view(), to):
        return _nothing(context, context.ledger.view())
    with context.leased("rollback", take_over=True):
        # Whoever held the lease may have ended it properly while we waited.
        view = context.ledger.view()
        if not _something_to_do(context, view, to):
            return _nothing(context, view)
        if by_machine:
            leave_to_a_person(context, view)
        failed, target = _from_and_to(context, view, to)
        return go_back(context, Failure(failed, reason, 0.0, context.clock.monotonic()), target)


def leave_to_a_person(context: Context, view: View) -> None:
    """Raise `RollbackIncomplete` when the rollback that stands was begun by machines often enough."""
    if view.state in _UNFINISHED and view.rollback_tries >= MOST_TRIES:
        raise RollbackIncomplete(
            f"the rollback of {context.stack} was begun {view.rollback_tries} times and did not come to its end",
            why="the same thing would fail again: a person has to look first (release history, docs/runbook.md)",
            next_step=next_step(context),
            report=Report(stack=context.stack, state=view.state),
        )


def _something_to_do(context: Context, view: View, to: str | None) -> bool:
    if view.under_way or view.state is State.ROLLBACK_FAILED:
        return True
    if view.state is State.ROLLED_BACK_TRAFFIC and view.confirmed is not None:
        return True
    if to is None:
        return False
    return view.confirmed is None or context.ledger.confirmed(to).release != view.confirmed.release


def _from_and_to(context: Context, view: View, to: str | None) -> tuple[ReleaseId, Served | None]:
    """Which release goes back to which. A rollback that was begun is finished to where it was going."""
    begun = _begun(context) if view.state in _UNFINISHED else None
    if begun is not None:
        failed, aim = begun.release, begun.details.get("to")
    else:
        failed, aim = (view.attempt.release if view.attempt else None), None
    if failed is None and view.confirmed is not None:
        failed = view.confirmed.release
    if failed is None:
        raise ReleaseError(
            f"the ledger of {context.stack} does not say which release is to be rolled back",
            next_step=f"release history --stack {context.stack}",
        )
    wanted = to or (aim["digest"] if aim else None)
    return failed, context.ledger.confirmed(wanted) if wanted else view.confirmed


def _begun(context: Context) -> Entry | None:
    """The entry by which the rollback that stands was begun."""
    newest = reversed(context.ledger.entries(_LOOK_BACK))
    return next((entry for entry in newest if entry.state is State.ROLLING_BACK), None)


def _nothing(context: Context, view: View) -> IdleReport:
    confirmed = view.confirmed.release if view.confirmed else None
    stands = f"{context.stack} is {view.state or 'untouched'}"
    context.console.line(f"Nothing to roll back: {stands}, confirmed is {confirmed or 'no release yet'}.")
    named = NamedRelease.of(confirmed) if confirmed else None
    return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True, confirmed=named)


def _must_write(context: Context, failure: Failure, target: Served | None) -> None:
    try:
        context.ledger.append(
            State.ROLLING_BACK,
            release=failure.release,
            reason=failure.reason,
            to=target.release.model_dump() if target else None,
            stable=target.stable if target else {},
            verdicts=[verdict.as_dict() for verdict in failure.verdicts],
        )
    except IllegalStepError as error:
        raise ReleaseError(
            "another run has taken this release over",
            why=str(error),
            next_step=f"release status --stack {context.stack}",
        ) from error


def _write_rolling_back(context: Context, failure: Failure, target: Served | None) -> bool:
    """Write the state before the step; `True` if the ledger could not be reached.

    Raises:
        ReleaseError: Another run has taken over: nothing may be touched any more.
    """
    try:
        _must_write(context, failure, target)
    except ReleaseError as error:
        if isinstance(error.__cause__, IllegalStepError):
            raise
        context.console.warn(f"the ledger cannot be written ({error.what}); taking traffic back first")
        return True
    return False


def _restore_traffic(context: Context, failure: Failure, target: Served, progress: _Progress) -> None:
    with context.console.step(f"putting `live` of every function back on the stable versions of {target.release}"):
        progress.traffic_problems = problems = []
        moves = [
            progress.tries(f"moving {function}", partial(_move, context, function, version), problems)
            for function, version in target.stable.items()
        ]
        if not all(moves):
            return  # no answer could prove anything now; bringing the stack back moves the aliases too
        right, said = right_answers(target.dashboard_url, target.release, context.settings, context.clock)
        if right:
            progress.traffic_is_safe = True
            progress.traffic_restored_s = round(context.clock.monotonic() - failure.known_at, 3)
            context.console.detail(
                f"{context.settings.restored_answers} right health answers in a row, "
                f"{progress.traffic_restored_s:.1f} s after the verdict"
            )
        else:
            problems.append(f"the URL does not answer as {target.release}: {said}")


def _move(context: Context, function: str, version: str) -> None:
    moved = context.traffic.move(function, version)
    context.console.detail(f"{function}: {'back on' if moved else 'already on'} version {version}")


def _bring_stack_back(context: Context, failure: Failure, target: Served, progress: _Progress) -> None:
    """Converge and verify. Only a proof takes problems back: what did not work at first was then done by the update."""
    problems: list[str] = []

    def work() -> None:
        packed = context.own.confirmed_program(target.release, target.program_sha256)
        with context.program(packed) as stack:
            with context.console.step(f"bringing the stack back with the program of {target.release}"):
                progress.mended = converge(context, stack, Way(failure.release, target))
            with context.console.step("verifying by reading the cloud"):
                problems.extend(what_differs(context, target, stack))

    if not progress.tries("bringing the stack back", work):
        return
    progress.problems += problems
    if not problems:
        progress.problems, progress.traffic_problems, progress.traffic_is_safe = [], [], True
        progress.converged_s = round(context.clock.monotonic() - failure.known_at, 3)
        if progress.traffic_restored_s is None:
            progress.traffic_restored_s = progress.converged_s


def _remove_safety_schedules(context: Context, target: Served, progress: _Progress) -> None:
    """They would only do once more what is done; but left over they could meet the traffic of a later release."""
    try:
        context.safety.remove(target.functions)
    except ReleaseError as error:
        progress.warnings.append(_said(error))
        context.console.warn(_said(error))


def _take_off_traffic(context: Context, failure: Failure, progress: _Progress) -> None:
    """Nothing to go back to: the failed release keeps its functions, but nobody reaches them."""
    hand_over = HandOver(context.own.hand_over(failure.release), {}, traffic=0)
    title = "no release was ever confirmed: taking `live` and its URL away"
    with context.program(context.own.program(failure.release)) as stack, context.console.step(title):
        progress.mended = mend_record(context, stack, failure.release, None)
        update(context, stack, hand_over, f"take {failure.release} off traffic")
    left = [name for name in sorted(hand_over.release["functions"]) if context.traffic.alias(name) is not None]
    progress.problems += [f"{name} still has an alias `live`" for name in left]
    progress.traffic_is_safe = not left
    if progress.traffic_is_safe:
        progress.traffic_restored_s = round(context.clock.monotonic() - failure.known_at, 3)


def _conclude(context: Context, failure: Failure, target: Served | None, progress: _Progress) -> RollbackReport:
    progress.problems = [*progress.traffic_problems, *progress.problems]
    verified = target is not None and not progress.problems and progress.converged_s is not None
    state = State.ROLLED_BACK_TRAFFIC if progress.traffic_is_safe else State.ROLLBACK_FAILED
    if verified:
        state = State.ROLLED_BACK
    report = _report(context, failure, target, progress, verified=verified)
    blocked = failure.release.digest if target is None or failure.release != target.release else None
    unpaged = page(
        context,
        f"{context.stack}: {failure.release.sha[:7]} {state}",
        [
            f"release {failure.release}, because: {failure.reason}",
            *progress.problems,
            *progress.warnings,
            *map(how_to_treat, report.left_in_aws),
        ],
        release=failure.release,
        state=state,
        dashboard_url=target.dashboard_url if target else "",
    )
    report = report.model_copy(update={"paged": not unpaged, "complaints": unpaged})
    ended: dict[str, Any] = {"stack": context.stack}
    try:
        entry = context.ledger.append(
            state,
            release=failure.release,
            reason=failure.reason,
            served=target if verified else None,
            blocked=blocked,
            report=report.as_dict(),
        )
        ended["entry"] = entry.seq
    except (ReleaseError, IllegalStepError) as error:
        context.console.warn(f"the end of this rollback could not be written into the ledger: {error}")
        # Not verified, whatever was seen: the ledger is what the next run believes.
        unwritten = f"the end could not be written into the ledger: {error}"
        ended |= {"verified": False, "problems": [*progress.problems, unwritten]}
        state = State.ROLLED_BACK_TRAFFIC if progress.traffic_is_safe else State.ROLLBACK_FAILED
    return report.model_copy(update={**ended, "state": state})


def _report(
    context: Context, failure: Failure, target: Served | None, progress: _Progress, *, verified: bool
) -> RollbackReport:
    mended = progress.mended
    left: tuple[Named, ...] = ()
    try:
        left = left_in_aws(context, failure.release)
    except ReleaseError as error:
        progress.warnings.append(f"what earlier tries left in AWS could not be read: {_said(error)}")
    return RollbackReport(
        from_=NamedRelease.of(failure.release),
        to=NamedRelease.of(target.release) if target else None,
        reason=failure.reason,
        detected_s=round(failure.detected_s, 3),
        traffic_restored_s=progress.traffic_restored_s,
        converged_s=progress.converged_s,
        problems=progress.problems,
        warnings=progress.warnings,
        left_in_aws=left,
        renamed_back=mended.renamed if mended else (),
        deleted=mended.added if mended else (),
        verified=verified,
    )


def next_step(context: Context) -> str:
    """The one command for a person after an incomplete rollback."""
    return f"release rollback --stack {context.stack} --reason 'finish the rollback'"
