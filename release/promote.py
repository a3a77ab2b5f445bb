"""From a validated build to a confirmed release in production, or all the way back. One command, no hand in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from release.canary import judge_dark, watch_live
from release.context import Context
from release.errors import Refused, ReleaseError, RollbackIncomplete, RolledBack
from release.gate import Admitted, admit, refuse_older
from release.judge import Verdict
from release.ledger import IllegalStepError
from release.lifecycle import ReleaseId, Served, State, refuse_start
from release.packages import release_id
from release.program import archive
from release.rollback import Failure, go_back, next_step
from release.stack import HandOver, Stack

_SHOWN_CHANGES: Final = 5


@dataclass(slots=True)
class _Attempt:
    """What one promotion knows while it runs."""

    admitted: Admitted
    hand_over: dict[str, Any]
    program: bytes
    confirmed: Served | None
    verdicts: list[Verdict] = field(default_factory=list)
    step_began: float = 0.0

    @property
    def release(self) -> ReleaseId:
        return self.admitted.release

    @property
    def stable(self) -> dict[str, str]:
        return self.confirmed.stable if self.confirmed else {}

    def handed(self, traffic: int, *, confirmed: bool = False) -> HandOver:
        return HandOver(self.hand_over, self.stable, traffic, confirmed)


def promote(context: Context, digest: str) -> dict[str, Any]:
    """Promote the release with this manifest digest and return the report of its confirmation.

    Raises:
        Refused: A rule forbids it; nothing was changed.
        RolledBack: It failed, and production is back on the confirmed release, verified.
        RollbackIncomplete: It failed, and a person is needed.
    """
    began = context.clock.monotonic()
    view = context.ledger.view()
    if view.confirmed and view.confirmed.release.digest == digest and not view.under_way:
        context.console.line(f"Release {view.confirmed.release} is confirmed in {context.stack} already.")
        return {**_report(context, view.confirmed, []), "already": True}
    try:
        admitted = admit(context, digest)
    except Refused as refusal:
        _write_refusal(context, _named(context, digest), refusal)
        raise
    program = archive(context.repo, admitted.manifest.sha, context.stack)
    with context.leased(f"promote {admitted.release}"):
        attempt = _prepare(context, admitted, program)
        # The environment is made before anything changes: a registry that does not answer must not cost a rollback.
        with context.program(program) as stack:
            served = _change(context, attempt, stack)
    report = _report(context, served, attempt.verdicts)
    return {**report, **context.clock.both(began)}


def _prepare(context: Context, admitted: Admitted, program: bytes) -> _Attempt:
    """LEASED and ARMED: packages copied, the way back proven. Nothing is changed, so all errors are refusals."""
    try:
        view = context.ledger.view()
        refuse_start(view, admitted.release)
        if view.confirmed:
            refuse_older(context, admitted.manifest, view.confirmed)
        context.ledger.append(State.LEASED, release=admitted.release)
        with context.console.step(f"copying the packages into {context.registry.bucket}"):
            hand_over = context.own.store(admitted.manifest, admitted.packages, program)
        _arm(context, view.confirmed)
        context.ledger.append(
            State.ARMED,
            release=admitted.release,
            back_to=view.confirmed.release.model_dump() if view.confirmed else None,
            validation=admitted.record.model_dump(mode="json", by_alias=True),
        )
    except Refused as refusal:
        _write_refusal(context, admitted.release, refusal)
        raise
    except IllegalStepError as error:
        raise ReleaseError(
            "another run has changed the ledger meanwhile", why=str(error), next_step="try again"
        ) from error
    except KeyboardInterrupt:
        stop = Refused("interrupted", "interrupted before anything was changed", next_step="promote it again")
        _write_refusal(context, admitted.release, stop)
        raise stop from None
    return _Attempt(admitted, hand_over, program, view.confirmed)


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
            "cannot-go-back",
            f"cannot go back from here: {context.stack} is not what {confirmed.release} left",
            why=f"{len(changes)} changes: {'; '.join(changes[:_SHOWN_CHANGES])}",
            next_step=f"undo what was changed by hand, or: release rollback --stack {context.stack} --reason ...",
        )


def _change(context: Context, attempt: _Attempt, stack: Stack) -> Served:
    """DEPLOYING to CONFIRMED. From the first entry on, whatever goes wrong ends in a rollback."""
    _enter(context, attempt, State.DEPLOYING, hand_over=attempt.hand_over, stable=attempt.stable)
    try:
        with context.console.step(f"pulumi up: {attempt.release} dark, no traffic"):
            stack.up(attempt.handed(0), message=f"{attempt.release} dark")
        _enter(context, attempt, State.DARK)
        record = _recorder(context, attempt)
        judge_dark(context, attempt.release, attempt.admitted.manifest.functions, record)
        _enter(context, attempt, State.LIVE, verdicts=[verdict.as_dict() for verdict in attempt.verdicts])
        with context.console.step(f"pulumi up: all traffic to {attempt.release}"):
            stack.up(attempt.handed(100), message=f"{attempt.release} live")
            outputs = stack.outputs()
        watch_live(context, attempt.release, outputs, record, long=True)
        return _confirm(context, attempt, stack, outputs)
    except KeyboardInterrupt:
        _go_back(context, attempt, "interrupted by hand")
    except (ReleaseError, IllegalStepError) as error:
        why = getattr(error, "why", "")
        _go_back(context, attempt, f"{error} ({why})" if why else str(error))
    except Exception as error:
        _go_back(context, attempt, f"the releaser itself failed: {type(error).__name__}: {error}")
    raise AssertionError("going back always raises")


def _enter(context: Context, attempt: _Attempt, state: State, **details: Any) -> None:
    attempt.step_began = context.clock.monotonic()
    context.ledger.append(state, release=attempt.release, **details)


def _recorder(context: Context, attempt: _Attempt) -> Callable[[Verdict], None]:
    def record(verdict: Verdict) -> None:
        attempt.verdicts.append(verdict)
        context.console.detail(str(verdict))

    return record


def _confirm(context: Context, attempt: _Attempt, stack: Stack, outputs: dict[str, Any]) -> Served:
    with context.console.step(f"confirming {attempt.release}: recorded as stable, program and checkpoint kept"):
        stack.up(attempt.handed(100, confirmed=True), message=f"{attempt.release} confirmed")
        checkpoint = stack.export()
        served = Served(
            release=attempt.release,
            built_at=attempt.admitted.manifest.built_at,
            at=context.clock.stamp(),
            hand_over=attempt.hand_over,
            functions={name: context.traffic.deployed(name) for name in attempt.admitted.manifest.functions},
            dashboard_url=outputs["dashboard_url"],
            on_call_topic=outputs["on_call_topic"],
            alarms=tuple(outputs.get("alarms") or ()),
            program_sha256=context.own.confirm_program(attempt.release, attempt.program),
            checkpoint_sha256=context.own.confirm_checkpoint(attempt.release, checkpoint),
        )
        _enter_confirmed(context, attempt, served)
    return served


def _enter_confirmed(context: Context, attempt: _Attempt, served: Served) -> None:
    verdicts = [verdict.as_dict() for verdict in attempt.verdicts]
    context.ledger.append(State.CONFIRMED, release=attempt.release, served=served, verdicts=verdicts)


def _go_back(context: Context, attempt: _Attempt, reason: str) -> None:
    known_at = context.clock.monotonic()
    failure = Failure(attempt.release, reason, known_at - attempt.step_began, known_at, attempt.verdicts)
    try:
        report = go_back(context, failure, attempt.confirmed)
    except KeyboardInterrupt:
        raise RollbackIncomplete(
            "interrupted in the middle of the rollback",
            why="the ledger says ROLLING_BACK, and nothing else is released until it is finished",
            next_step=next_step(context),
        ) from None
    report["verdicts"] = [verdict.as_dict() for verdict in attempt.verdicts]
    if report["state"] is State.ROLLED_BACK:
        assert attempt.confirmed is not None  # noqa: S101 -- for the type checker: there was something to go back to
        raise RolledBack(
            f"release {attempt.release} failed; {context.stack} is back on {attempt.confirmed.release}, verified",
            why=reason,
            next_step="mend it in a new commit; this release is blocked",
            report=report,
        )
    if attempt.confirmed is None and report["state"] is State.ROLLED_BACK_TRAFFIC:
        raise RollbackIncomplete(
            f"release {attempt.release} failed and was taken off traffic: no release was ever confirmed to go back to",
            why=reason,
            next_step="mend it in a new commit and promote that",
            report=report,
        )
    raise RollbackIncomplete(
        f"release {attempt.release} failed and the way back is not complete: {report['state']}",
        why=f"{reason}; then: {'; '.join(report['problems'])}",
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
    try:
        context.ledger.append(State.REFUSED, release=release, reason=refusal.what, rule=refusal.rule, why=refusal.why)
    except (ReleaseError, IllegalStepError) as error:
        context.console.warn(f"the refusal could not be written into the ledger: {error}")


def _report(context: Context, served: Served, verdicts: list[Verdict]) -> dict[str, Any]:
    return {
        "stack": context.stack,
        "state": State.CONFIRMED,
        "sha": served.release.sha,
        "manifest": served.release.digest,
        "versions": served.stable,
        "dashboard_url": served.dashboard_url,
        "verdicts": [verdict.as_dict() for verdict in verdicts],
    }
