"""From a validated build to a confirmed release in production, or all the way back. One command, no hand in between.

Each state of the lifecycle is written before the step that it names, so that a run which died can be resumed at exactly
that step (`resume`), or be taken back (`release.rollout.operations.reap`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from release.analysis.verdict import Verdict
from release.artifacts.manifest import Manifest
from release.artifacts.program import archive
from release.artifacts.store import release_id
from release.context import Context
from release.errors import Refused, ReleaseError, RollbackIncomplete, RolledBack, UsageError
from release.gates.approval import refuse_unproven
from release.gates.preconditions import Admitted, admit, refuse_older
from release.ledger.ledger import IllegalStepError
from release.ledger.lifecycle import NOTHING, UNCHANGED, Despite, Path_, ReleaseId, Served, State, View, refuse_start
from release.preview.compare import plan_of
from release.preview.plan import Against, Head
from release.pulumi.changes import Change, Plan, refuse
from release.pulumi.stack import HandOver, Stack
from release.reports import IdleReport, ReleaseReport, Report
from release.rollout import canary
from release.rollout.confirm import confirm, finish, finished
from release.rollout.operations import alive, page_despite
from release.rollout.reconcile import adopt, unlocked
from release.rollout.rollback import Failure, go_back, next_step, rollback
from release.rules import RefusalRule

_SHOWN_CHANGES: Final = 5
# From here on nobody may call a release refused.
_FIRST_CHANGE: Final = State.DEPLOYING


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What one promotion knows while it runs."""

    manifest: Manifest
    hand_over: dict[str, Any]
    program: bytes
    confirmed: Served | None
    despite: Despite = NOTHING
    aside: frozenset[str] = frozenset()
    """Alarms that rang before the release and that a person set aside."""
    plan: Plan | None = None
    """What the dark update changes; `None` where another run has begun with it."""
    shared: bool = False
    """Whether the new version has passed a window with a tenth of the traffic."""
    verdicts: list[Verdict] = field(default_factory=list)
    step_began: float = 0.0
    deadline: datetime | None = None
    """When the schedules take traffic back; `None` where none are set."""

    @property
    def release(self) -> ReleaseId:
        """Identity and name."""
        return release_id(self.manifest)

    @property
    def stable(self) -> dict[str, str]:
        """The versions that take all traffic if this release fails."""
        return self.confirmed.stable if self.confirmed else {}

    def handed(self, traffic: int, *, confirmed: bool = False) -> HandOver:
        """What the program is told."""
        return HandOver(self.hand_over, self.stable, traffic, confirmed)

    def watched(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """The stack's outputs, without the alarms that a person set aside."""
        return {**outputs, "alarms": [name for name in outputs.get("alarms") or [] if name not in self.aside]}


def promote(context: Context, digest: str, *, path: Path_ = "reviewed", despite: Despite = NOTHING) -> ReleaseReport:
    """Promote the release with this manifest digest and return the report of its confirmation.

    Args:
        context: The environment.
        digest: The release.
        path: `reviewed`, or `automatic` where no person has looked at it.
        despite: Rules that a person sets aside.

    Raises:
        Refused: A rule forbids it; nothing was changed.
        RolledBack: It failed, and production is back on the confirmed release, verified.
        RollbackIncomplete: It failed, and a person is needed.
    """
    began = context.clock.monotonic()
    if path == "automatic" and despite.given:
        raise UsageError(
            "the automatic path sets no rule aside",
            why="setting one aside is the decision of a person who is responsible for it",
            next_step="promote on the reviewed path",
        )
    view = context.ledger.view()
    if view.confirmed and view.confirmed.release.digest == digest and not view.under_way:
        context.console.line(f"Release {view.confirmed.release} is confirmed in {context.stack} already.")
        return _report(context, view.confirmed, [], already=True)
    try:
        admitted = admit(context, digest, despite)
    except Refused as refusal:
        _write_refusal(context, _named(context, digest), refusal)
        raise
    program = archive(context.repo, admitted.manifest.sha, context.stack)
    # The program's environment is made before anything changes: a registry that is down must not cost a rollback.
    with context.leased(f"promote {admitted.release}"), context.program(program) as stack:
        attempt = _prepare(context, admitted, program, stack, view, path=path, despite=despite)
        served = _go_on_from(context, attempt, stack, _FIRST_CHANGE)
        problems = finish(context, served, stack)
    return finished(context, _report(context, served, attempt.verdicts, **context.clock.both(began)), problems)


def resume(context: Context) -> Report:
    """Go on with a release whose run has died, at the step that the ledger names.

    Raises:
        ReleaseError: Its run has not ended, as far as anybody can tell.
        RolledBack, RollbackIncomplete, Refused: As for `promote`.
    """
    began = context.clock.monotonic()
    view = context.ledger.view()
    if view.attempt is None and view.contract_pending:
        return confirm(context)
    if view.attempt is None or view.state is State.ROLLBACK_FAILED:
        context.console.line(f"Nothing to resume: {context.stack} is {view.state or 'untouched'}.")
        return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True)
    if view.attempt.state is State.ROLLING_BACK:
        return rollback(context, None, f"run {view.attempt.run.id} died while it went back", by_machine=True)
    if (why := alive(context, view.attempt.run)) is not None:
        raise ReleaseError(
            f"run {view.attempt.run.id} may still be busy with {context.stack}",
            why=why,
            next_step=f"wait for it; or, when you know that it has died: release unlock --stack {context.stack} ...",
        )
    if view.attempt.release is None:
        raise ReleaseError(f"the ledger of {context.stack} does not say which release is under way")
    if view.attempt.state in UNCHANGED:
        return promote(context, view.attempt.release.digest, path=view.attempt.path, despite=view.attempt.despite)
    with context.leased(f"resume {view.attempt.release}", take_over=True):
        now = context.ledger.view()
        if now.attempt != view.attempt or now.attempt is None:
            raise ReleaseError(
                f"{context.stack} is {now.state} by now", why="another run was faster", next_step="release status"
            )
        attempt = Attempt(
            manifest=context.own.manifest(view.attempt.release),
            hand_over=context.own.hand_over(view.attempt.release),
            program=context.own.program(view.attempt.release),
            confirmed=now.confirmed,
            despite=now.attempt.despite,
            aside=frozenset(now.attempt.aside),
        )
        with context.program(attempt.program) as stack:
            served = _go_on_from(context, attempt, stack, view.attempt.state)
            problems = finish(context, served, stack)
    report = _report(context, served, attempt.verdicts, resumed=True, **context.clock.both(began))
    return finished(context, report, problems)


def _prepare(
    context: Context,
    admitted: Admitted,
    program: bytes,
    stack: Stack,
    before: View,
    *,
    path: Path_,
    despite: Despite,
) -> Attempt:
    """LEASED and ARMED: packages copied, the way back proven, the changes known. Nothing is changed."""
    release = admitted.release
    try:
        view = context.ledger.view()
        refuse_start(view, release, despite)
        _refuse_superseded(context, admitted, before, view)
        if path == "automatic":
            refuse_unproven(context, release.digest)
        context.ledger.append(
            State.LEASED, release=release, path=path, despite=despite.given, set_aside=sorted(admitted.ringing)
        )
        page_despite(context, release, despite)
        with context.console.step(f"copying the packages into {context.registry.bucket}"):
            hand_over = context.own.store(admitted.manifest, admitted.packages, program)
        attempt = Attempt(
            manifest=admitted.manifest,
            hand_over=hand_over,
            program=program,
            confirmed=view.confirmed,
            despite=despite,
            aside=admitted.ringing,
        )
        _arm(context, view.confirmed)
        attempt.plan = _planned(context, attempt, stack, path)
        context.ledger.append(
            State.ARMED,
            release=release,
            back_to=view.confirmed.release.model_dump() if view.confirmed else None,
            validation=admitted.record.model_dump(mode="json", by_alias=True),
            changes=[f"{step.change}: {step}" for step in attempt.plan.steps],
            plan=_plan_document(context.stack, release, view.confirmed, attempt.plan),
        )
    except Refused as refusal:
        _write_refusal(context, release, refusal)
        raise
    except IllegalStepError as error:
        raise ReleaseError(
            "another run has changed the ledger meanwhile", why=str(error), next_step="try again"
        ) from error
    except KeyboardInterrupt:
        stop = Refused(RefusalRule.INTERRUPTED, "interrupted before anything was changed", next_step="promote it again")
        _write_refusal(context, release, stop)
        raise stop from None
    except ReleaseError as error:
        _write_refusal(context, release, Refused(RefusalRule.NOT_PREPARED, error.what, why=error.why))
        raise
    return attempt


def _plan_document(stack: str, release: ReleaseId, confirmed: Served | None, plan: Plan) -> dict[str, Any] | None:
    """The plan as reviewers of a pull request see theirs; its digest names it."""
    if not plan.engine:
        return None
    against = Against(kind="state", sha=confirmed.release.sha if confirmed else None)
    document = plan_of(plan.engine, stack=stack, head=Head(sha=release.sha), against=against)
    return document.model_dump(mode="json", exclude_defaults=True) | {"digest": document.digest}


def _refuse_superseded(context: Context, admitted: Admitted, before: View, view: View) -> None:
    """An older release may have waited for the lease of a newer one."""
    if view.confirmed is None:
        return
    try:
        refuse_older(context, admitted.manifest, view.confirmed)
    except Refused as older:
        waited = before.confirmed is None or before.confirmed.release != view.confirmed.release
        if not waited:
            raise
        raise Refused(
            RefusalRule.SUPERSEDED,
            f"release {view.confirmed.release} was confirmed while {admitted.release} waited",
            why=older.why,
            next_step="nothing: what this release holds is in production already",
        ) from older


def _arm(context: Context, confirmed: Served | None) -> None:
    if confirmed is None:
        context.console.line("No release is confirmed yet: if this one fails, it is taken off traffic.")
        return
    packed = context.own.confirmed_program(confirmed.release, confirmed.program_sha256)
    title = f"proving the way back to {confirmed.release}: preview of its program, refreshed"
    with context.program(packed) as stack, context.console.step(title):
        changes = stack.preview(HandOver(confirmed.hand_over, confirmed.stable, traffic=0)).changes
    if changes:
        raise Refused(
            RefusalRule.CANNOT_GO_BACK,
            f"cannot go back from here: {context.stack} is not what {confirmed.release} left",
            why=f"{len(changes)} changes: {'; '.join(changes[:_SHOWN_CHANGES])}",
            next_step=f"undo what was changed by hand, or: release rollback --stack {context.stack} --reason ...",
        )


def _planned(context: Context, attempt: Attempt, stack: Stack, path: Path_) -> Plan:
    with context.console.step("sorting what the dark update changes"):
        plan = stack.plan(attempt.handed(0))
        for line in refuse(plan, path, first=attempt.confirmed is None):
            context.console.warn(line)
        counts = Counter(step.change for step in plan.steps)
        context.console.detail(", ".join(f"{counts[change]} {change}" for change in Change))
    return plan


def _go_on_from(context: Context, attempt: Attempt, stack: Stack, state: State) -> Served:
    """Walk from `state` to CONFIRMED. From the first entry on, whatever goes wrong ends in a rollback."""
    try:
        while state is not State.CONFIRMED:
            _enter(context, attempt, state)
            state = _STEPS[state](context, attempt, stack)
        return _confirm(context, attempt, stack)
    except KeyboardInterrupt:
        _go_back(context, attempt, "interrupted by hand")
    except (canary.CanaryFailed, ReleaseError, IllegalStepError) as error:
        why = getattr(error, "why", "")
        _go_back(context, attempt, f"{error} ({why})" if why else str(error))
    except Exception as error:
        _go_back(context, attempt, f"the releaser itself failed: {type(error).__name__}: {error}")
    raise AssertionError("going back always raises")


def _enter(context: Context, attempt: Attempt, state: State) -> None:
    """Write `state`, and before traffic may move set the schedules that take it back without us."""
    attempt.step_began = context.clock.monotonic()
    details: dict[str, Any] = {}
    deadline = None
    if state is State.DEPLOYING:
        details = {"hand_over": attempt.hand_over, "stable": attempt.stable}
    if state in {State.CANARY, State.LIVE}:
        details["verdicts"] = [verdict.as_dict() for verdict in attempt.verdicts]
        if attempt.stable:
            seconds = _longest_step_s(context)
            deadline = (context.clock.now() + timedelta(seconds=seconds)).replace(microsecond=0)
            details["deadline"] = deadline.isoformat().replace("+00:00", "Z")
    context.ledger.append(state, release=attempt.release, **details)
    if deadline is not None:
        attempt.deadline = deadline
        with context.console.step(
            f"setting the schedules that take traffic back at {deadline:%H:%M:%S} UTC by themselves"
        ):
            context.safety.set(attempt.stable, deadline)


def _longest_step_s(context: Context) -> float:
    """Real seconds after which a step that moved traffic must have ended: its windows, extended once, and its work."""
    settings = context.settings
    longest_window = settings.watch_s * max(1.0, settings.watch_long_factor) + settings.last_look_s
    return settings.step_work_s + 2 * longest_window / context.clock.scale


def _deploy_dark(context: Context, attempt: Attempt, stack: Stack) -> State:
    with context.console.step(f"pulumi up: {attempt.release} dark, no traffic"):
        handed = attempt.handed(0)
        message = f"{attempt.release} dark"
        if attempt.confirmed is None:
            unlocked(context, stack, lambda: stack.up(handed, message=message))
        else:
            plan = attempt.plan or stack.plan(handed, refresh=True)
            plan = adopt(context, stack, handed, plan)
            attempt.plan = plan if attempt.plan is not None else None
            unlocked(context, stack, lambda: stack.expand(handed, plan, message=message))
    return State.DARK


def _judge_dark(context: Context, attempt: Attempt, stack: Stack) -> State:  # noqa: ARG001 -- all steps look alike
    canary.judge_dark(
        context,
        attempt.release,
        attempt.manifest.functions,
        attempt.verdicts.append,
        accept_inconclusive=attempt.despite.inconclusive,
    )
    apply, why = canary.weights_apply(context, attempt.stable, attempt.manifest.functions)
    if not apply:
        context.console.line(f"No step with a tenth of the traffic: {why}. The watch is longer instead.")
    return State.CANARY if apply else State.LIVE


def _share_traffic(context: Context, attempt: Attempt, stack: Stack) -> State:
    assert attempt.confirmed is not None  # noqa: S101 -- for the type checker: weights need a stable version
    with context.console.step(f"pulumi up: a tenth of the traffic to {attempt.release}"):
        outputs = _move(context, attempt, stack, 10)
    canary.watch_weighted(
        context,
        attempt.release,
        attempt.confirmed,
        attempt.watched(outputs),
        attempt.verdicts.append,
        accept_inconclusive=attempt.despite.inconclusive,
    )
    attempt.shared = True
    return State.LIVE


def _serve(context: Context, attempt: Attempt, stack: Stack) -> State:
    with context.console.step(f"pulumi up: all traffic to {attempt.release}"):
        outputs = _move(context, attempt, stack, 100)
    canary.watch_live(
        context,
        attempt.release,
        attempt.watched(outputs),
        attempt.verdicts.append,
        long=not attempt.shared,
        accept_inconclusive=attempt.despite.inconclusive,
    )
    return State.CONFIRMED


def _move(context: Context, attempt: Attempt, stack: Stack, traffic: int) -> dict[str, Any]:
    """Move traffic, and nothing else where every function has a `live` to move; return the stack's outputs."""
    handed, message = attempt.handed(traffic), f"{attempt.release} at {traffic} %"
    if attempt.confirmed is None:
        unlocked(context, stack, lambda: stack.up(handed, message=message))
        return stack.outputs()
    plan = attempt.plan or stack.plan(handed, refresh=True)
    if lives := plan.live_aliases():
        unlocked(context, stack, lambda: stack.up(handed, message=message, targets=lives))
    else:
        # A function without `live` gets its callers and alarms now; what goes away still waits.
        expansion = stack.plan(handed)
        unlocked(context, stack, lambda: stack.expand(handed, expansion, message=message))
    return stack.outputs()


_STEPS: Final[dict[State, Callable[[Context, Attempt, Stack], State]]] = {
    State.DEPLOYING: _deploy_dark,
    State.DARK: _judge_dark,
    State.CANARY: _share_traffic,
    State.LIVE: _serve,
}


def _confirm(context: Context, attempt: Attempt, stack: Stack) -> Served:
    with context.console.step(f"confirming {attempt.release}: recorded as stable, program and checkpoint kept"):
        handed = attempt.handed(100, confirmed=True)
        message, waits = f"{attempt.release} confirmed", False
        if attempt.confirmed is None or (attempt.plan is not None and not attempt.plan.destructive):
            unlocked(context, stack, lambda: stack.up(handed, message=message))
        else:
            plan = stack.plan(handed)
            unlocked(context, stack, lambda: stack.expand(handed, plan, message=message))
            waits = bool(plan.destructive)
        outputs = stack.outputs()
        checkpoint = stack.export()
        served = Served(
            release=attempt.release,
            built_at=attempt.manifest.built_at,
            at=context.clock.stamp(),
            hand_over=attempt.hand_over,
            functions={name: context.traffic.deployed(name) for name in attempt.manifest.functions},
            dashboard_url=outputs["dashboard_url"],
            on_call_topic=outputs["on_call_topic"],
            alarms=tuple(outputs.get("alarms") or ()),
            program_sha256=context.own.confirm_program(attempt.release, attempt.program),
            checkpoint_sha256=context.own.confirm_checkpoint(attempt.release, checkpoint),
        )
        # First the schedules, then the entry: a schedule that fires for a confirmed release would undo it.
        context.safety.remove(attempt.stable)
        _require_in_time(context, attempt)
        verdicts = [verdict.as_dict() for verdict in attempt.verdicts]
        context.ledger.append(
            State.CONFIRMED, release=attempt.release, served=served, verdicts=verdicts, contract_pending=waits
        )
    return served


def _require_in_time(context: Context, attempt: Attempt) -> None:
    """What the schedules may have taken off traffic is not what was watched, and must not be confirmed.

    The clock alone decides: a schedule that has fired may still be on its way to the alias.

    Raises:
        ReleaseError: Their time has come.
    """
    if attempt.deadline is not None and context.clock.now() >= attempt.deadline:
        raise ReleaseError(
            f"not confirmed in time: the schedules have taken traffic back at {attempt.deadline:%H:%M:%S} UTC",
            why="calls to AWS took longer than a release may take (step_work_s in release/settings.py)",
            next_step="look at what was slow, then promote it again",
        )


def _go_back(context: Context, attempt: Attempt, reason: str) -> None:
    known_at = context.clock.monotonic()
    failure = Failure(attempt.release, reason, known_at - attempt.step_began, known_at, attempt.verdicts)
    try:
        report = go_back(context, failure, attempt.confirmed).model_copy(update={"verdicts": tuple(attempt.verdicts)})
    except KeyboardInterrupt:
        raise RollbackIncomplete(
            "interrupted in the middle of the rollback",
            why="the ledger says ROLLING_BACK, and nothing else is released until it is finished",
            next_step=next_step(context),
        ) from None
    if report.state is State.ROLLED_BACK:
        assert attempt.confirmed is not None  # noqa: S101 -- for the type checker: there was something to go back to
        raise RolledBack(
            f"release {attempt.release} failed; {context.stack} is back on {attempt.confirmed.release}, verified",
            why=reason,
            next_step="mend it in a new commit; this release is blocked",
            report=report,
        )
    if attempt.confirmed is None and report.state is State.ROLLED_BACK_TRAFFIC:
        raise RollbackIncomplete(
            f"release {attempt.release} failed and was taken off traffic: no release was ever confirmed to go back to",
            why=reason,
            next_step="mend it in a new commit and promote that",
            report=report,
        )
    raise RollbackIncomplete(
        f"release {attempt.release} failed and the way back is not complete: {report.state}",
        why=f"{reason}; then: {'; '.join(report.problems)}",
        next_step=next_step(context),
        report=report,
    )


def _named(context: Context, digest: str) -> ReleaseId | None:
    """The release for the ledger, if its manifest can be read at all."""
    try:
        return release_id(context.offered.manifest(digest))
    except ReleaseError:
        return None


def _write_refusal(context: Context, release: ReleaseId | None, refusal: Refused) -> None:
    """A refusal is written too; that it could not be written does not undo it."""
    state = State.SUPERSEDED if refusal.rule == RefusalRule.SUPERSEDED.label else State.REFUSED
    rule, why, next_step_ = refusal.rule, refusal.why, refusal.next_step
    try:
        context.ledger.append(state, release=release, reason=refusal.what, rule=rule, why=why, next_step=next_step_)
    except (ReleaseError, IllegalStepError) as error:
        context.console.warn(f"the refusal could not be written into the ledger: {error}")


def _report(context: Context, served: Served, verdicts: list[Verdict], **more: Any) -> ReleaseReport:
    return ReleaseReport(
        stack=context.stack,
        state=State.CONFIRMED,
        sha=served.release.sha,
        manifest=served.release.digest,
        versions=served.stable,
        dashboard_url=served.dashboard_url,
        verdicts=tuple(verdicts),
        **more,
    )
