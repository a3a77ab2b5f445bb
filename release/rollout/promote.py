"""From a validated build to a confirmed release in production, or all the way back. One command, no hand in between.

Each state of the lifecycle is written before the step that it names, so that a run which died can be resumed at exactly
that step (`resume`), or be taken back (`release.rollout.operations.reap`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from release.analysis.verdict import Verdict
from release.artifacts.manifest import Manifest
from release.artifacts.program import archive
from release.artifacts.store import PromotionStore, release_id
from release.clock import Clock
from release.context import Context
from release.errors import LeaseLost, Refused, ReleaseError, RollbackIncomplete, RolledBack, UsageError, with_why
from release.gates.approval import refuse_unproven
from release.gates.preconditions import Admitted, admit, refuse_older, refuse_taken_back
from release.ledger.lifecycle import (
    CHANGING,
    NO_OVERRIDE,
    UNCHANGED,
    ApprovalPath,
    Deployment,
    IllegalStepError,
    Override,
    ReleaseId,
    State,
    refuse_start,
)
from release.preview.approved import BoundApproval, plan_for_approval, refuse_other_plan, refuse_unseen_steps
from release.preview.compare import plan_of
from release.preview.plan import Against, Head, PlanDocument
from release.pulumi.changes import Impact, UpdatePlan, refuse
from release.pulumi.stack import ReleaseInput, Stack
from release.reports import BakeReport, IdleReport, NamedRelease, ReleaseReport, Report
from release.rollout import bake
from release.rollout.canary import Canary, CanaryFailed
from release.rollout.confirm import confirm, deployment, finish, finished, require_live
from release.rollout.operations import alive, page_despite
from release.rollout.reconcile import adopt
from release.rollout.rollback import Failure, next_step, roll_back, rollback
from release.rules import RefusalRule
from release.settings import ReleaseSettings

_SHOWN_CHANGES: Final = 5


@dataclass(slots=True, kw_only=True)
class Promotion:
    """What one promotion knows while it runs."""

    manifest: Manifest
    hand_over: dict[str, Any]
    program: bytes
    confirmed: Deployment | None
    despite: Override = NO_OVERRIDE
    muted: frozenset[str] = frozenset()
    """Alarms that rang before the release, and that a person has muted for it."""
    plan: UpdatePlan | None = None
    """What the dark update changes; `None` where another run has begun with it."""
    verdicts: list[Verdict] = field(default_factory=list)
    step_began: float = 0.0
    deadline: datetime | None = None
    """When the schedules take traffic back; `None` where none are set."""
    bake: dict[str, Any] = field(default_factory=dict)
    """What the entry of the confirmation says of the bake."""

    @property
    def release(self) -> ReleaseId:
        """Identity and name."""
        return release_id(self.manifest)

    @property
    def stable(self) -> dict[str, str]:
        """The versions that take all traffic if this release fails."""
        return self.confirmed.stable if self.confirmed else {}

    def release_input(self, traffic: int, *, confirmed: bool = False) -> ReleaseInput:
        """Return what the program is told."""
        return ReleaseInput(self.hand_over, self.stable, traffic, confirmed)

    def watched(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """The stack's outputs, without the alarms that a person has muted."""
        return {**outputs, "alarms": [name for name in outputs.get("alarms") or [] if name not in self.muted]}


def promote(
    context: Context,
    digest: str,
    *,
    path: ApprovalPath = "reviewed",
    despite: Override = NO_OVERRIDE,
    approval: BoundApproval | None = None,
) -> ReleaseReport:
    """Promote the release with this manifest digest and return the report of its confirmation.

    `approval` binds it to a plan that a reviewer has seen; `None`: who promotes it at a shell approves it by that.

    Raises:
        Refused: A rule forbids it; nothing was changed.
        RolledBack: It failed, and production is back on the confirmed release, verified.
        RollbackIncomplete: It failed, and a person is needed.
    """
    began = context.clock.monotonic()
    if path == "automatic" and (despite.given or context.changed):
        raise UsageError(
            "the automatic path overrides no rule",
            why="overriding one is the decision of a person who is responsible for it: "
            + ", ".join([*despite.given, *context.changed]),
            next_step="promote on the reviewed path",
        )
    before = context.ledger.view()
    left = before.attempt
    if left is not None and left.state in CHANGING and context.lease.is_ours(left.run):
        # An earlier attempt of this CI run, or a process of this machine, has died: a re-run finishes what it left.
        if left.state is not State.ROLLING_BACK and left.release is not None and left.release.digest == digest:
            return cast("ReleaseReport", resume(context, approval))
        rollback(context, None, f"run {left.run.id} died in {left.state}", by_machine=True)
        before = context.ledger.view()
    if before.confirmed and before.confirmed.release.digest == digest and before.settled:
        require_live(context, before.confirmed)
        context.console.line(f"Release {before.confirmed.release} is confirmed in {context.stack} already.")
        return _report(context.stack, before.confirmed, [], already=True)
    try:
        admitted = admit(context, digest, despite)
    except Refused as refusal:
        _write_refusal(context, _named(context.promotions, digest), refusal)
        raise
    program = archive(context.repo, admitted.manifest.sha, context.stack)
    # The program's environment is made before anything changes: a registry that is down must not cost a rollback.
    with context.leased(f"promote {admitted.release}"), context.program(program) as stack:
        try:
            promotion = _prepare(
                context, admitted, program, stack, before.confirmed, path=path, despite=despite, approval=approval
            )
            _refuse_out_of_time(context, began)
            _end_bake(context)
        except Refused as refusal:
            _write_refusal(context, admitted.release, refusal)
            raise
        except IllegalStepError as error:
            raise ReleaseError(
                "another run has changed the ledger meanwhile", why=str(error), next_step="try again"
            ) from error
        except KeyboardInterrupt:
            stop = Refused(
                RefusalRule.INTERRUPTED, "interrupted before anything was changed", next_step="promote it again"
            )
            _write_refusal(context, admitted.release, stop)
            raise stop from None
        except ReleaseError as error:
            _write_refusal(context, admitted.release, Refused(RefusalRule.NOT_PREPARED, error.what, why=error.why))
            raise
        confirmed = _roll_out(context, promotion, stack, State.DEPLOYING)
        problems = finish(context, confirmed, stack)
    baked = _baked(promotion.bake)
    report = _report(context.stack, confirmed, promotion.verdicts, **baked, **context.clock.both(began))
    return finished(context, report, problems)


def resume(context: Context, approval: BoundApproval | None = None) -> Report:
    """Go on with a release whose run has died, at the step that the ledger names.

    Where that run had changed nothing, the release begins anew, bound to the `approval` that this run was told.

    Raises:
        ReleaseError: Its run has not ended, as far as anybody can tell.
        RolledBack, RollbackIncomplete, Refused: As for `promote`.
    """
    began = context.clock.monotonic()
    view = context.ledger.view()
    rollout = view.attempt
    if rollout is None and view.contract_pending:
        return confirm(context)
    if rollout is None or view.state is State.ROLLBACK_FAILED:
        context.console.line(f"Nothing to resume: {context.stack} is {view.state or 'untouched'}.")
        return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True)
    if rollout.state is State.ROLLING_BACK:
        return rollback(context, None, f"run {rollout.run.id} died while it went back", by_machine=True)
    if (why := alive(context, rollout.run)) is not None:
        raise ReleaseError(
            f"run {rollout.run.id} may still be busy with {context.stack}",
            why=why,
            next_step=f"wait for it; or, when you know that it has died: release unlock --stack {context.stack} ...",
        )
    if rollout.release is None:
        raise ReleaseError(f"the ledger of {context.stack} does not say which release is under way")
    if rollout.state in UNCHANGED:
        return promote(context, rollout.release.digest, path=rollout.path, despite=rollout.despite, approval=approval)
    with context.leased(f"resume {rollout.release}", later_job=True):
        now = context.ledger.view()
        if now.attempt != rollout:
            raise ReleaseError(
                f"{context.stack} is {now.state} by now", why="another run was faster", next_step="release status"
            )
        if context.changed:
            page_despite(context, rollout.release, rollout.despite)
        promotion = Promotion(
            manifest=context.releases.manifest(rollout.release),
            hand_over=context.releases.hand_over(rollout.release),
            program=context.releases.program(rollout.release),
            confirmed=now.confirmed,
            despite=rollout.despite,
            muted=frozenset(rollout.aside),
        )
        _end_bake(context)
        with context.program(promotion.program) as stack:
            confirmed = _roll_out(context, promotion, stack, rollout.state)
            problems = finish(context, confirmed, stack)
    baked = _baked(promotion.bake)
    report = _report(context.stack, confirmed, promotion.verdicts, resumed=True, **baked, **context.clock.both(began))
    return finished(context, report, problems)


# LEASED and ARMED: nothing is changed


def _prepare(
    context: Context,
    admitted: Admitted,
    program: bytes,
    stack: Stack,
    before: Deployment | None,
    *,
    path: ApprovalPath,
    despite: Override,
    approval: BoundApproval | None,
) -> Promotion:
    """Copy the packages, prove that a rollback is possible, and compare what changes with what was approved."""
    release, view = admitted.release, context.ledger.view()
    refuse_start(view, release, despite)
    if view.confirmed:
        _refuse_superseded(context, admitted, before, view.confirmed)
    if path == "automatic":
        refuse_unproven(context, release.digest)
    context.ledger.append(
        State.LEASED,
        release=release,
        path=path,
        despite=despite.given,
        set_aside=sorted(admitted.ringing),
        settings=context.changed,
    )
    page_despite(context, release, despite)
    with context.console.step(f"copying the packages into {context.objects.bucket}"):
        hand_over = context.releases.store(admitted.manifest, admitted.packages, program, admitted.attestations)
    context.locks.refuse_foreign()
    approved = None
    if approval is not None:
        approved = plan_for_approval(context, admitted.manifest, stack, view.confirmed)
        refuse_other_plan(approval, approved)
    promotion = Promotion(
        manifest=admitted.manifest,
        hand_over=hand_over,
        program=program,
        confirmed=view.confirmed,
        despite=despite,
        muted=admitted.ringing,
    )
    if view.confirmed is None:
        context.console.line("No release is confirmed yet: if this one fails, it is taken off traffic.")
    else:
        _refuse_without_way_back(context, view.confirmed)
    with context.console.step("classifying what the dark update changes"):
        promotion.plan = plan = stack.plan(promotion.release_input(0))
        for line in refuse(plan, path, first=view.confirmed is None):
            context.console.warn(line)
        counts = Counter(step.impact for step in plan.steps)
        context.console.detail(", ".join(f"{counts[impact]} {impact}" for impact in Impact))
    planned = _plan_document(context.stack, release, view.confirmed, plan)
    if approved is not None and planned is not None:
        refuse_unseen_steps(approved.plan, planned)
    context.ledger.append(
        State.ARMED,
        release=release,
        back_to=view.confirmed.release.model_dump() if view.confirmed else None,
        validation=admitted.record.model_dump(mode="json", by_alias=True),
        changes=[f"{step.impact}: {step}" for step in plan.steps],
        plan=planned and planned.model_dump(mode="json", exclude_defaults=True) | {"digest": planned.digest},
        approval=approved and {"digest": approved.digest, "serial": approved.serial},
    )
    return promotion


def _refuse_superseded(context: Context, admitted: Admitted, before: Deployment | None, confirmed: Deployment) -> None:
    """Refuse an older release; `superseded` where it has waited for the lease of a newer one."""
    try:
        refuse_older(context, admitted.manifest, confirmed)
    except Refused as older:
        if before is not None and before.release == confirmed.release:
            raise
        raise Refused(
            RefusalRule.SUPERSEDED,
            f"release {confirmed.release} was confirmed while {admitted.release} waited",
            why=older.why,
            next_step="nothing: what this release holds is in production already",
        ) from older


def _refuse_out_of_time(context: Context, began: float) -> None:
    """Refuse the release (`out-of-time`) where what is left of its step's time is less than it may take."""
    settings, needed = context.settings, _longest_step_s(context.settings, context.clock)
    left = settings.step_limit_s - (context.clock.monotonic() - began)
    if left < needed:
        raise Refused(
            RefusalRule.OUT_OF_TIME,
            f"the release may take {needed:.0f} s, and {max(left, 0):.0f} s are left of its step",
            why=f"waiting and preparing took the rest of {settings.step_limit_s:.0f} s; a step that is cut off leaves "
            "traffic to the failsafe schedules",
            next_step="promote it again"
            if needed < settings.step_limit_s
            else "raise timeout-minutes of the step `promote` in deploy-prod.yml, and RELEASE_STEP_LIMIT_S with it",
        )


def _end_bake(context: Context) -> None:
    """End the bake of the release before: it must not meet the traffic of this one.

    Raises:
        Refused: An alarm has taken traffic back at the last moment.
        ReleaseError: It is not ended, so nothing may be changed.
    """
    context.bake.disarm()
    view = context.ledger.view()
    if view.confirmed is not None and view.attempt is not None and view.attempt.state in UNCHANGED:
        require_live(context, view.confirmed)


def _refuse_without_way_back(context: Context, confirmed: Deployment) -> None:
    """Refuse the release (`cannot-go-back`) unless the confirmed program finds the stack as it left it."""
    refuse_taken_back(context, context.ledger.view())
    packed = context.releases.confirmed_program(confirmed)
    title = f"proving that a rollback to {confirmed.release} is possible: preview of its program, refreshed"
    with context.program(packed) as stack, context.console.step(title):
        changes = stack.preview(ReleaseInput(confirmed.hand_over, confirmed.stable, traffic=0))
    if changes:
        raise Refused(
            RefusalRule.CANNOT_GO_BACK,
            f"cannot go back from here: {context.stack} is not what {confirmed.release} left",
            why=f"{len(changes)} changes: {'; '.join(changes[:_SHOWN_CHANGES])}",
            next_step=f"undo what was changed by hand; release status --stack {context.stack} says what users get",
        )


def _plan_document(
    stack: str, release: ReleaseId, confirmed: Deployment | None, plan: UpdatePlan
) -> PlanDocument | None:
    """Return the plan as reviewers of a pull request see theirs."""
    if not plan.engine:
        return None
    against = Against(kind="state", sha=confirmed.release.sha if confirmed else None)
    return plan_of(plan.engine, stack=stack, head=Head(sha=release.sha), against=against)


# DEPLOYING, DARK, CANARY, LIVE, CONFIRMED: whatever goes wrong ends in a rollback


def _roll_out(context: Context, promotion: Promotion, stack: Stack, state: State) -> Deployment:
    """Walk from `state` to CONFIRMED."""
    release, code = promotion.release, {name: one.code_sha256 for name, one in promotion.manifest.functions.items()}
    canary = Canary(context, release, code, promotion.verdicts.append, promotion.despite.inconclusive)
    try:
        if state is State.DEPLOYING:
            _enter(context, promotion, state)
            with context.console.step(f"pulumi up: {release} dark, no traffic"):
                _deploy_dark(context, promotion, stack)
            state = State.DARK
        if state is State.DARK:
            _enter(context, promotion, state)
            canary.analyse_dark(promotion.confirmed)
            why_not = canary.why_not_weighted(promotion.stable)
            if why_not:
                context.console.line(f"No step at 10 % of the traffic: {why_not}.")
            state = State.LIVE if why_not else State.CANARY
        if state is State.CANARY and promotion.confirmed:
            _enter(context, promotion, state)
            with context.console.step(f"pulumi up: 10 % of the traffic to {release}"):
                outputs = _move_traffic(promotion, stack, 10)
            canary.watch_weighted(promotion.confirmed, promotion.watched(outputs))
        _enter(context, promotion, State.LIVE)
        with context.console.step(f"pulumi up: all traffic to {release}"):
            outputs = _move_traffic(promotion, stack, 100)
        canary.watch_live(promotion.watched(outputs))
        with context.console.step(f"confirming {release}: recorded as stable, program and checkpoint kept"):
            return _confirm(context, promotion, stack, canary)
    except LeaseLost:
        raise
    except KeyboardInterrupt:
        reason = "interrupted by hand"
    except (CanaryFailed, ReleaseError, IllegalStepError) as error:
        why = getattr(error, "why", "")
        reason = f"{error} ({why})" if why else str(error)
    except Exception as error:
        reason = f"the releaser itself failed: {type(error).__name__}: {error}"
    _roll_back(context, promotion, reason)
    raise AssertionError("a rollback of a promotion always raises")


def _enter(context: Context, promotion: Promotion, state: State) -> None:
    """Write `state`, and before traffic may move set the schedules that take it back without us."""
    promotion.step_began = context.clock.monotonic()
    details: dict[str, Any] = {"settings": context.changed} if context.changed else {}
    deadline = None
    if state is State.DEPLOYING:
        details |= {"hand_over": promotion.hand_over, "stable": promotion.stable}
    if state in {State.CANARY, State.LIVE}:
        details["verdicts"] = [verdict.as_dict() for verdict in promotion.verdicts]
        if promotion.stable:
            seconds = _longest_step_s(context.settings, context.clock)
            deadline = (context.clock.now() + timedelta(seconds=seconds)).replace(microsecond=0)
            details["deadline"] = deadline.isoformat().replace("+00:00", "Z")
    context.ledger.append(state, release=promotion.release, **details)
    if deadline is not None:
        promotion.deadline = deadline
        with context.console.step(f"setting the schedules that take traffic back at {deadline:%H:%M:%S} UTC"):
            context.failsafe.set(promotion.stable, deadline)


def _longest_step_s(settings: ReleaseSettings, clock: Clock) -> float:
    """Real seconds after which a step that moved traffic must have ended: its windows, extended once, and its work."""
    return settings.step_work_s + settings.longest_windows_s / clock.scale


def _deploy_dark(context: Context, promotion: Promotion, stack: Stack) -> None:
    release, message = promotion.release_input(0), f"{promotion.release} dark"
    if promotion.confirmed is None:
        stack.up(release, message=message)
        return
    plan = adopt(context, stack, release, promotion.plan or stack.plan(release, refresh=True))
    if promotion.plan is not None:
        promotion.plan = plan
    stack.expand(release, plan, message=message)


def _move_traffic(promotion: Promotion, stack: Stack, traffic: int) -> dict[str, Any]:
    """Move traffic, and nothing else where every function has a `live` to move; return the stack's outputs."""
    release, message = promotion.release_input(traffic), f"{promotion.release} at {traffic} %"
    # The schedules may have moved the aliases since another run moved them: the record does not know.
    resumed = promotion.plan is None
    if promotion.confirmed is None:
        stack.up(release, message=message)
    elif lives := (promotion.plan or stack.plan(release, refresh=True)).live_aliases():
        stack.up(release, message=message, targets=lives, refresh=resumed)
    else:
        # A function without `live` gets its callers and alarms now; what goes away still waits.
        stack.expand(release, stack.plan(release, refresh=resumed), message=message, refresh=resumed)
    return stack.outputs()


def _confirm(context: Context, promotion: Promotion, stack: Stack, canary: Canary) -> Deployment:
    release, message, waits = promotion.release_input(100, confirmed=True), f"{promotion.release} confirmed", False
    if promotion.confirmed is None or (promotion.plan is not None and not promotion.plan.destructive):
        stack.up(release, message=message)
    else:
        plan = stack.plan(release)
        stack.expand(release, plan, message=message)
        waits = bool(plan.destructive)
    outputs, checkpoint = stack.outputs(), stack.export()
    kept = {
        "program_sha256": context.releases.confirm_program(promotion.release, promotion.program),
        "checkpoint_sha256": context.releases.confirm_checkpoint(promotion.release, checkpoint),
    }
    # First the bake, then the schedules: there is no moment in which nothing takes traffic back without us.
    watched = promotion.watched(outputs)
    promotion.bake = bake.begin(context, promotion.confirmed, watched["alarms"], contracts=waits)
    if "baking_until" in promotion.bake:
        canary.look_again(watched)
    # First the schedules, then the entry: a schedule that fires for a confirmed release would undo it.
    context.failsafe.remove(promotion.stable)
    # The clock alone decides: a schedule that has fired may still be on its way to the alias.
    if promotion.deadline is not None and context.clock.now() >= promotion.deadline:
        raise ReleaseError(
            f"not confirmed in time: the schedules have taken traffic back at {promotion.deadline:%H:%M:%S} UTC",
            why="calls to AWS took longer than a release may take (step_work_s in release/settings.py)",
            next_step="look at what was slow, then promote it again",
        )
    # The last look before the entry: whatever has moved an alias since the watch began, users do not get this release.
    confirmed = deployment(context, promotion.manifest, promotion.hand_over, outputs, **kept)
    verdicts = [verdict.as_dict() for verdict in promotion.verdicts]
    context.ledger.append(
        State.CONFIRMED,
        release=promotion.release,
        served=confirmed,
        verdicts=verdicts,
        contract_pending=waits,
        **promotion.bake,
    )
    return confirmed


def _roll_back(context: Context, promotion: Promotion, reason: str) -> None:
    """Roll back, and raise the error that says how it ended."""
    release, confirmed, known_at = promotion.release, promotion.confirmed, context.clock.monotonic()
    failure = Failure(release, reason, known_at - promotion.step_began, known_at, promotion.verdicts)
    try:
        report = roll_back(context, failure, confirmed).model_copy(update={"verdicts": tuple(promotion.verdicts)})
    except KeyboardInterrupt:
        raise RollbackIncomplete(
            "interrupted in the middle of the rollback",
            why="the ledger says ROLLING_BACK, and nothing else is released until it is finished",
            next_step=next_step(context),
        ) from None
    if confirmed and report.state is State.ROLLED_BACK:
        raise RolledBack(
            f"release {release} failed; {context.stack} is back on {confirmed.release}, verified",
            why=reason,
            next_step="fix it in a new commit; this one is blocked until: "
            f"release unblock {release.digest[:12]} --stack {context.stack} --reason ...",
            report=report,
        )
    if confirmed is None and report.state is State.ROLLED_BACK_TRAFFIC:
        raise RollbackIncomplete(
            f"release {release} failed and was taken off traffic: no release was ever confirmed to go back to",
            why=reason,
            next_step="fix it in a new commit and promote that",
            report=report,
        )
    raise RollbackIncomplete(
        f"release {release} failed and the rollback is not complete: {report.state}",
        why=f"{reason}; then: {'; '.join(report.problems)}",
        next_step=next_step(context),
        report=report,
    )


def _named(promotions: PromotionStore, digest: str) -> ReleaseId | None:
    """Return the release for the ledger, if its manifest can be read at all."""
    try:
        return release_id(promotions.manifest(digest))
    except ReleaseError:
        return None


def _write_refusal(context: Context, release: ReleaseId | None, refusal: Refused) -> None:
    """Write a refusal into the ledger; that it could not be written does not undo it."""
    state = State.SUPERSEDED if refusal.rule == RefusalRule.SUPERSEDED.label else State.REFUSED
    rule, why, next_step_ = refusal.rule, refusal.why, refusal.next_step
    try:
        context.ledger.append(state, release=release, reason=refusal.what, rule=rule, why=why, next_step=next_step_)
    except (ReleaseError, IllegalStepError) as error:
        context.console.warn(f"the refusal could not be written into the ledger: {with_why(error)}")


def _baked(details: dict[str, Any]) -> dict[str, Any]:
    """What a report says of the bake."""
    if "back_to" not in details:
        return dict(details)
    to = NamedRelease.of(ReleaseId.model_validate(details["back_to"]))
    return {"baking": BakeReport(until=details["baking_until"], to=to)}


def _report(stack: str, confirmed: Deployment, verdicts: list[Verdict], **more: Any) -> ReleaseReport:
    return ReleaseReport(
        stack=stack,
        state=State.CONFIRMED,
        sha=confirmed.release.sha,
        manifest=confirmed.release.digest,
        versions=confirmed.stable,
        dashboard_url=confirmed.dashboard_url,
        verdicts=tuple(verdicts),
        **more,
    )
