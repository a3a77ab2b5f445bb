"""The rollback: traffic first (seconds), then the stack, then the proof. Nobody is asked.

It needs the ledger, the environment's own bucket and AWS: no GitHub, no preprod, no build. Every step may fail; what
was reached is named in the ledger, a person is told the one command, and that command begins again where it must.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from release.analysis.health import await_health
from release.analysis.verdict import Verdict
from release.context import Context
from release.errors import LeaseLost, ReleaseError, RollbackIncomplete, UsageError, with_why
from release.ledger.ledger import Ledger
from release.ledger.lifecycle import Deployment, IllegalStepError, LedgerState, ReleaseId, Run, State
from release.oncall.advice import how_to_treat
from release.oncall.pager import page
from release.pulumi.checkpoint import Repair, ResourceNote
from release.pulumi.stack import ReleaseInput
from release.reports import IdleReport, NamedRelease, Report, RollbackReport
from release.rollout.reconcile import left_in_aws, reconcile, repair_record, what_differs

MOST_TRIES: Final = 3
"""How often machines begin one and the same rollback; after that only a person does."""

_UNFINISHED: Final = frozenset({State.ROLLING_BACK, State.ROLLED_BACK_TRAFFIC, State.ROLLBACK_FAILED})


@dataclass(slots=True)
class Failure:
    """Why a release is rolled back, and since when that is known."""

    release: ReleaseId
    reason: str
    detected_s: float
    """Real seconds from the step that exposed the failure to the moment when it was known."""
    known_at: float
    """That moment, as `Clock.monotonic()` tells it."""
    verdicts: list[Verdict] = field(default_factory=list)


def rollback(context: Context, to: str | None, reason: str, *, by_machine: bool = False) -> Report:
    """Finish what a dead run left, or go back to an earlier release: the command. It reads the ledger first.

    `to` is a digest, a SHA or `previous`; with `None` the command only finishes. Where nobody looks at it
    (`by_machine`), a rollback that was begun `MOST_TRIES` times is left to a person.

    Raises:
        UsageError: `to` names nothing that was ever confirmed.
        RollbackIncomplete: Machines have tried often enough.
    """
    if context.stack == "preprod":
        raise UsageError(
            "preprod is not rolled back", why="the next build replaces what it serves", next_step="release deploy ..."
        )
    if not _something_to_do(context, context.ledger.view(), to):
        _free(context)
        return _nothing(context, context.ledger.view())
    with context.leased("rollback", later_job=True):
        # Whoever held the lease may have ended it properly while we waited.
        view = context.ledger.view()
        if not _something_to_do(context, view, to):
            return _nothing(context, view)
        if by_machine:
            leave_to_a_person(context, view)
        failed, target = _from_and_to(context.ledger, view, to)
        return roll_back(context, Failure(failed, reason, 0.0, context.clock.monotonic()), target)


def _free(context: Context) -> None:
    """Give back the lease that another job of this CI run holds, or a dead process of this machine: it is over."""
    holder = context.lease.holder()
    if holder is not None and context.lease.is_ours(Run.model_validate(holder["run"]), later_job=True):
        with context.leased("free the lease of a run that has ended", later_job=True):
            context.console.line(f"Run {holder['run']['id']} had changed nothing, and holds the lease no more.")


def leave_to_a_person(context: Context, view: LedgerState) -> None:
    """Raise `RollbackIncomplete` when the rollback that stands was begun by machines often enough."""
    if view.state in _UNFINISHED and view.rollback_tries >= MOST_TRIES:
        raise RollbackIncomplete(
            f"the rollback of {context.stack} was begun {view.rollback_tries} times and did not come to its end",
            why="the same thing would fail again: a person has to look first (release history, docs/how-to/runbook.md)",
            next_step=next_step(context),
            report=Report(stack=context.stack, state=view.state),
        )


def _something_to_do(context: Context, view: LedgerState, to: str | None) -> bool:
    if view.to_roll_back:
        return True
    if to is None or view.confirmed is None:
        return to is not None
    if context.ledger.confirmed(to).release != view.confirmed.release:
        return True
    return bool(context.traffic.moved(view.confirmed.stable))  # by somebody else: only a person names it


def _from_and_to(ledger: Ledger, view: LedgerState, to: str | None) -> tuple[ReleaseId, Deployment | None]:
    """Return which release is rolled back to which. A rollback that was begun is finished to where it was going."""
    failed, aim = (view.attempt.release if view.attempt else None), None
    if begun := view.begun_rollback:
        failed, aim = begun.failed, begun.to
    if failed is None and view.confirmed is not None:
        failed = view.confirmed.release
    if failed is None:
        raise ReleaseError(
            f"the ledger of {ledger.stack} does not say which release is to be rolled back",
            next_step=f"release history --stack {ledger.stack}",
        )
    wanted = to or (aim.digest if aim else None)
    return failed, ledger.confirmed(wanted) if wanted else view.confirmed


def _nothing(context: Context, view: LedgerState) -> IdleReport:
    confirmed = view.confirmed.release if view.confirmed else None
    stands = f"{context.stack} is {view.state or 'untouched'}"
    context.console.line(f"Nothing to roll back: {stands}, confirmed is {confirmed or 'no release yet'}.")
    named = NamedRelease.of(confirmed) if confirmed else None
    return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True, confirmed=named)


def roll_back(context: Context, failure: Failure, target: Deployment | None) -> RollbackReport:
    """Bring the environment back to `target` (`None`: there never was a confirmed release) and return the report.

    Its `state` tells how it ended. The lease must be held. A second interrupt leaves the ledger in ROLLING_BACK.
    """
    context.console.interrupts = False
    context.console.warn(f"rolling back {failure.release}: {failure.reason}")
    rolling = _Rollback(context, failure, target)
    written = rolling.write_if_possible()
    if target is None:
        if written or rolling.tries("the ledger", rolling.write):
            rolling.tries("taking off traffic", rolling.take_off_traffic)
        return rolling.conclude()
    rolling.restore_traffic(target)
    # Traffic comes before paper. All else is begun only when it is written: whoever goes on after us must know.
    if written or rolling.tries("the ledger", rolling.write):
        rolling.end_bake()
        rolling.bring_stack_back(target)
    if not rolling.traffic_is_safe:
        rolling.restore_traffic(target)  # what did not answer at first may do so by now
    rolling.tries("reading the aliases once more", partial(rolling.look_again, target))
    if rolling.traffic_is_safe:
        rolling.remove_schedules(target)
    return rolling.conclude()


class _Rollback:
    """One rollback, and how far it has got."""

    def __init__(self, context: Context, failure: Failure, target: Deployment | None) -> None:
        self.context, self.failure, self.target = context, failure, target
        self.problems: list[str] = []
        self.traffic_problems: list[str] = []  # of the last try to move traffic
        self.warnings: list[str] = []
        self.traffic_is_safe = False
        self.traffic_restored_s: float | None = None
        self.converged_s: float | None = None
        self.repaired: Repair | None = None

    def tries(self, doing: str, work: Callable[[], None], problems: list[str] | None = None) -> bool:
        """Do a step; whatever goes wrong becomes a problem: the steps after it and the end must still be reached."""
        problems = self.problems if problems is None else problems
        try:
            work()
        except LeaseLost:
            raise
        except ReleaseError as error:
            problems.append(_told(error))
        except Exception as error:  # a mistake of ours must not cost the page and the entry
            problems.append(f"{doing}: the releaser itself failed: {type(error).__name__}: {error}")
        else:
            return True
        return False

    def write(self) -> None:
        """Write ROLLING_BACK."""
        try:
            self.context.ledger.append(
                State.ROLLING_BACK,
                release=self.failure.release,
                reason=self.failure.reason,
                to=self.target.release.model_dump() if self.target else None,
                stable=self.target.stable if self.target else {},
                verdicts=[verdict.as_dict() for verdict in self.failure.verdicts],
            )
        except IllegalStepError as error:
            raise ReleaseError(
                "there is nothing to roll back: the ledger does not say that this release has begun",
                why=str(error),
                next_step=f"release status --stack {self.context.stack}",
            ) from error

    def write_if_possible(self) -> bool:
        """Write the state before the step; `False` if the ledger could not be reached.

        Raises:
            ReleaseError: Nothing has begun, so nothing may be touched.
        """
        try:
            self.write()
        except ReleaseError as error:
            if isinstance(error.__cause__, IllegalStepError):
                raise
            self.context.console.warn(f"the ledger cannot be written ({error.what}); taking traffic back first")
            return False
        return True

    def restore_traffic(self, target: Deployment) -> None:
        """Put `live` of every function back, and wait until the URL answers as the target."""
        context, self.traffic_problems = self.context, []
        with context.console.step(f"putting `live` of every function back on the stable versions of {target.release}"):
            moves = [
                self.tries(f"moving {function}", partial(self._move, function, version), self.traffic_problems)
                for function, version in target.stable.items()
            ]
            if not all(moves):
                return  # no answer could prove anything now; bringing the stack back moves the aliases too
            if complaint := await_health(target.dashboard_url, target.release, context.settings, context.clock):
                self.traffic_problems.append(f"the URL does not answer as {target.release}: {complaint}")
                return
            self.traffic_is_safe, self.traffic_restored_s = True, self._since_known()
            context.console.detail(
                f"{context.settings.restored_answers} right health answers in a row, "
                f"{self.traffic_restored_s:.1f} s after the verdict"
            )

    def _move(self, function: str, version: str) -> None:
        moved = self.context.traffic.move(function, version)
        self.context.console.detail(f"{function}: {'back on' if moved else 'already on'} version {version}")

    def _since_known(self) -> float:
        return round(self.context.clock.monotonic() - self.failure.known_at, 3)

    def bring_stack_back(self, target: Deployment) -> None:
        """Reconcile and verify. Only a proof takes problems back: what failed at first was then done by the update."""
        context, problems = self.context, []

        def work() -> None:
            with context.program(context.releases.confirmed_program(target)) as stack:
                with context.console.step(f"bringing the stack back with the program of {target.release}"):
                    self.repaired = reconcile(context, stack, self.failure.release, target)
                with context.console.step("verifying by reading the cloud"):
                    problems.extend(what_differs(context, target, stack))

        if not self.tries("bringing the stack back", work):
            return
        self.problems += problems
        if not problems:
            self.problems, self.traffic_problems, self.traffic_is_safe = [], [], True
            self.converged_s = self._since_known()
            if self.traffic_restored_s is None:
                self.traffic_restored_s = self.converged_s

    def look_again(self, target: Deployment) -> None:
        """Read every alias at the end: an update that nobody saw end may have moved one since it was put back."""
        moved = self.context.traffic.moved(target.stable)
        if moved and self.traffic_is_safe:
            self.traffic_is_safe, self.converged_s = False, None
            self.problems += [f"{what}: somebody has moved it while the stack was brought back" for what in moved]
            self.restore_traffic(target)

    def remove_schedules(self, target: Deployment) -> None:
        """Remove the schedules of the failsafe: left over they could meet the traffic of a later release.

        Without a proof they stay where they lead to the same versions, for what still runs may move `live` again.
        """
        try:
            if self.converged_s is None and self.context.ledger.view().confirmed == target:
                return
            self.context.failsafe.remove(target.functions)
        except ReleaseError as error:
            self.warnings.append(_told(error))
            self.context.console.warn(_told(error))

    def end_bake(self) -> None:
        """Remove what would take traffic back when an alarm rings: it need not lead to the same versions."""
        try:
            self.context.bake.disarm()
        except LeaseLost:
            raise
        except ReleaseError as error:
            self.warnings.append(_told(error))
            self.context.console.warn(_told(error))

    def take_off_traffic(self) -> None:
        """Take `live` away where there is nothing to go back to: the failed release keeps its functions."""
        context, failed = self.context, self.failure.release
        release = ReleaseInput(context.releases.hand_over(failed), {}, traffic=0)
        title = "no release was ever confirmed: taking `live` and its URL away"
        with context.program(context.releases.program(failed)) as stack, context.console.step(title):
            self.repaired = repair_record(context, stack, failed, None)
            stack.up(release, refresh=True, message=f"take {failed} off traffic")
        left = [name for name in sorted(release.release["functions"]) if context.traffic.alias(name) is not None]
        self.problems += [f"{name} still has an alias `live`" for name in left]
        self.traffic_is_safe = not left
        if not left:
            self.traffic_restored_s = self._since_known()

    def conclude(self) -> RollbackReport:
        """Page, write the end into the ledger, and return the report."""
        context, failure, target = self.context, self.failure, self.target
        self.problems = [*self.traffic_problems, *self.problems]
        verified = target is not None and not self.problems and self.converged_s is not None
        unverified = State.ROLLED_BACK_TRAFFIC if self.traffic_is_safe else State.ROLLBACK_FAILED
        state = State.ROLLED_BACK if verified else unverified
        report = self._report(verified=verified)
        unpaged = page(
            context,
            f"{context.stack}: {failure.release.sha[:7]} {state}",
            [
                f"release {failure.release}, because: {failure.reason}",
                *self.problems,
                *self.warnings,
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
                blocked=failure.release.digest if target is None or failure.release != target.release else None,
                report=report.as_dict(),
            )
            ended["entry"] = entry.seq
        except (ReleaseError, IllegalStepError) as error:
            context.console.warn(f"the end of this rollback could not be written into the ledger: {with_why(error)}")
            # Not verified, whatever was seen: the ledger is what the next run believes.
            unwritten = f"the end could not be written into the ledger: {with_why(error)}"
            ended |= {"verified": False, "problems": [*self.problems, unwritten]}
            state = unverified
        return report.model_copy(update={**ended, "state": state})

    def _report(self, *, verified: bool) -> RollbackReport:
        failure, repaired = self.failure, self.repaired
        left: tuple[ResourceNote, ...] = ()
        try:
            left = left_in_aws(self.context.objects, failure.release)
        except ReleaseError as error:
            self.warnings.append(f"what earlier tries left in AWS could not be read: {_told(error)}")
        return RollbackReport(
            from_=NamedRelease.of(failure.release),
            to=NamedRelease.of(self.target.release) if self.target else None,
            reason=failure.reason,
            detected_s=round(failure.detected_s, 3),
            traffic_restored_s=self.traffic_restored_s,
            converged_s=self.converged_s,
            problems=self.problems,
            warnings=self.warnings,
            left_in_aws=left,
            renamed_back=repaired.renamed if repaired else (),
            deleted=repaired.added if repaired else (),
            verified=verified,
        )


def _told(error: ReleaseError) -> str:
    return f"{with_why(error)}{f' - {error.next_step}' if error.next_step else ''}"


def next_step(context: Context) -> str:
    """Return the one command for a person after an incomplete rollback."""
    return f"release rollback --stack {context.stack} --reason 'finish the rollback'"
