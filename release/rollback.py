"""The way back: traffic first (seconds), then the stack, then the proof. Nobody is asked.

It needs the ledger, the environment's own bucket and AWS: no GitHub, no preprod, no build.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from components.naming import CANDIDATE
from release.context import Context
from release.errors import ReleaseError, UsageError
from release.judge import Verdict
from release.ledger import IllegalStepError
from release.lifecycle import ReleaseId, Served, State, View
from release.pager import page
from release.stack import HandOver, LockedError, Stack
from release.watch import right_answers


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
class _Way:
    """How far the way back has got."""

    problems: list[str] = field(default_factory=list)
    traffic_is_safe: bool = False
    traffic_restored_s: float | None = None
    converged_s: float | None = None


def go_back(context: Context, failure: Failure, target: Served | None) -> dict[str, Any]:
    """Bring the environment back to `target` (`None`: there never was a confirmed release) and return the report.

    Its `state` says how it ended. The lease must be held. A second interrupt leaves the ledger in ROLLING_BACK.
    """
    console, way = context.console, _Way()
    console.warn(f"going back from {failure.release}: {failure.reason}")
    unwritten = _write_rolling_back(context, failure, target)
    if target is None:
        _take_off_traffic(context, failure, way)
    else:
        _restore_traffic(context, failure, target, way)
        if unwritten:
            _write_rolling_back(context, failure, target, again=True)
        _converge(context, failure, target, way)
    return _conclude(context, failure, target, way)


def rollback(context: Context, to: str | None, reason: str) -> dict[str, Any]:
    """The command: finish what a dead run left, or go back to an earlier release; it asks the ledger first.

    Raises:
        UsageError: `to` names nothing that was ever confirmed.
    """
    if context.stack == "preprod":
        raise UsageError(
            "preprod is not rolled back", why="the next build replaces what it serves", next_step="release deploy ..."
        )
    if not _something_to_do(context, context.ledger.view(), to):
        return _nothing(context, context.ledger.view())
    with context.leased("rollback"):
        # Whoever held the lease may have ended it properly while we waited.
        view = context.ledger.view()
        if not _something_to_do(context, view, to):
            return _nothing(context, view)
        target = context.ledger.confirmed(to) if to else view.confirmed
        failed = view.attempt.release if view.attempt else (view.confirmed.release if view.confirmed else None)
        if failed is None:
            raise ReleaseError(f"the ledger of {context.stack} does not say which release is to be rolled back")
        return go_back(context, Failure(failed, reason, 0.0, context.clock.monotonic()), target)


def _something_to_do(context: Context, view: View, to: str | None) -> bool:
    if view.under_way or view.state is State.ROLLBACK_FAILED:
        return True
    if view.state is State.ROLLED_BACK_TRAFFIC and view.confirmed is not None:
        return True
    if to is None:
        return False
    return view.confirmed is None or context.ledger.confirmed(to).release != view.confirmed.release


def _nothing(context: Context, view: View) -> dict[str, Any]:
    confirmed = view.confirmed.release if view.confirmed else None
    stands = f"{context.stack} is {view.state or 'untouched'}"
    context.console.line(f"Nothing to roll back: {stands}, confirmed is {confirmed or 'no release yet'}.")
    return {
        "stack": context.stack,
        "state": view.state,
        "nothing_to_do": True,
        "confirmed": confirmed.as_reported() if confirmed else None,
    }


def _write_rolling_back(context: Context, failure: Failure, target: Served | None, *, again: bool = False) -> bool:
    """Write the state before the step; `True` if the ledger could not be reached: traffic comes before paper."""
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
    except ReleaseError as error:
        if again:
            context.console.warn(f"the ledger cannot be written: {error.what} ({error.why})")
            return True
        context.console.warn("the ledger cannot be written; taking traffic back first")
        return True
    return False


def _restore_traffic(context: Context, failure: Failure, target: Served, way: _Way) -> None:
    with context.console.step(f"putting `live` of every function back on the stable versions of {target.release}"):
        failed = []
        for function, version in target.stable.items():
            try:
                moved = context.traffic.move(function, version)
                context.console.detail(f"{function}: {'back on' if moved else 'already on'} version {version}")
            except ReleaseError as error:
                failed.append(f"{function}: {error.what} ({error.why})")
        way.problems += failed
        if failed:
            return  # no answer could prove anything now; bringing the stack back moves the aliases too
        way.traffic_is_safe = True
        right, said = right_answers(target.dashboard_url, target.release, context.settings, context.clock)
        if right:
            way.traffic_restored_s = round(context.clock.monotonic() - failure.known_at, 3)
            context.console.detail(
                f"{context.settings.restored_answers} right health answers in a row, "
                f"{way.traffic_restored_s:.1f} s after the verdict"
            )
        else:
            way.problems.append(f"the URL does not answer as {target.release}: {said}")
            way.traffic_is_safe = False


def _converge(context: Context, failure: Failure, target: Served, way: _Way) -> None:
    hand_over = HandOver(target.hand_over, target.stable, traffic=0)
    try:
        packed = context.own.confirmed_program(target.release, target.program_sha256)
        with context.program(packed) as stack:
            with context.console.step(f"bringing the stack back with the program of {target.release}"):
                _up(stack, hand_over, f"roll back {failure.release} to {target.release}")
            with context.console.step("verifying by reading the cloud"):
                problems = what_differs(context, target, stack)
    except ReleaseError as error:
        way.problems.append(f"{error.what} ({error.why})" if error.why else error.what)
        return
    way.problems += problems
    if not problems:
        # Whatever did not work at first, the cloud has now been read and is right.
        way.problems, way.traffic_is_safe = [], True
        way.converged_s = round(context.clock.monotonic() - failure.known_at, 3)
        if way.traffic_restored_s is None:
            way.traffic_restored_s = way.converged_s


def _up(stack: Stack, hand_over: HandOver, message: str) -> None:
    try:
        stack.up(hand_over, refresh=True, message=message)
    except LockedError as error:
        if not error.dead_own:
            raise
        stack.cancel()  # left by a run of this machine whose process is gone
        stack.up(hand_over, refresh=True, message=message)


def what_differs(context: Context, target: Served, stack: Stack) -> list[str]:
    """Read the cloud and say in what it is not `target`; an empty list is the proof."""
    problems = []
    for function, expected in target.functions.items():
        alias = context.traffic.alias(function)
        if alias is None or alias.version != expected.version or alias.weights:
            problems.append(f"`live` of {function} is {alias}, not version {expected.version} alone")
            continue
        deployed = context.traffic.deployed(function)
        if deployed.code_sha256 != expected.code_sha256:
            problems.append(f"`live` of {function} serves other code: {deployed.code_sha256}")
        different = sorted(
            key
            for key in {*deployed.configuration, *expected.configuration}
            if deployed.configuration.get(key) != expected.configuration.get(key)
        )
        if different:
            problems.append(f"`live` of {function} has another configuration: {', '.join(different)}")
        candidate = context.traffic.alias(function, CANDIDATE)
        if candidate and context.traffic.deployed(function, CANDIDATE).code_sha256 != expected.code_sha256:
            problems.append(f"`{CANDIDATE}` of {function} is still the failed code")
    context.console.detail(f"code and configuration of {len(target.functions)} live aliases compared")
    right, said = right_answers(target.dashboard_url, target.release, context.settings, context.clock)
    if not right:
        problems.append(f"the URL does not answer as {target.release}: {said}")
    changes = stack.preview(HandOver(target.hand_over, target.stable, traffic=0)).changes
    context.console.detail(f"preview against the refreshed state: {len(changes)} changes")
    problems += [f"the stack is not converged: {change}" for change in changes]
    return problems


def _take_off_traffic(context: Context, failure: Failure, way: _Way) -> None:
    """Nothing to go back to: the failed release keeps its functions, but nobody reaches them."""
    try:
        hand_over = HandOver(context.own.hand_over(failure.release), {}, traffic=0)
        title = "no release was ever confirmed: taking `live` and its URL away"
        with context.program(context.own.program(failure.release)) as stack, context.console.step(title):
            _up(stack, hand_over, f"take {failure.release} off traffic")
        left = [name for name in sorted(hand_over.release["functions"]) if context.traffic.alias(name) is not None]
    except ReleaseError as error:
        way.problems.append(f"{error.what} ({error.why})" if error.why else error.what)
        return
    way.problems += [f"{name} still has an alias `live`" for name in left]
    way.traffic_is_safe = not left
    if way.traffic_is_safe:
        way.traffic_restored_s = round(context.clock.monotonic() - failure.known_at, 3)


def _conclude(context: Context, failure: Failure, target: Served | None, way: _Way) -> dict[str, Any]:
    verified = target is not None and not way.problems and way.converged_s is not None
    if verified:
        state = State.ROLLED_BACK
    else:
        state = State.ROLLED_BACK_TRAFFIC if way.traffic_is_safe else State.ROLLBACK_FAILED
    report: dict[str, Any] = {
        "from": failure.release.as_reported(),
        "to": target.release.as_reported() if target else None,
        "verified": verified,
        "reason": failure.reason,
        "detected_s": round(failure.detected_s, 3),
        "traffic_restored_s": way.traffic_restored_s,
        "converged_s": way.converged_s,
        "problems": way.problems,
    }
    blocked = failure.release.digest if target is None or failure.release != target.release else None
    subject = f"{context.stack}: {failure.release.sha[:7]} {state}"
    lines = [f"release {failure.release}, because: {failure.reason}", *way.problems]
    dashboard_url = target.dashboard_url if target else ""
    complaints = page(context, subject, lines, release=failure.release, state=state, dashboard_url=dashboard_url)
    for complaint in complaints:
        context.console.warn(f"not everybody was told: {complaint}")
    report |= {"paged": not complaints, "complaints": complaints}
    try:
        entry = context.ledger.append(
            state,
            release=failure.release,
            reason=failure.reason,
            served=target if verified else None,
            blocked=blocked,
            report=report,
        )
        report["entry"] = entry.seq
    except (ReleaseError, IllegalStepError) as error:
        context.console.warn(f"the end of this rollback could not be written into the ledger: {error}")
        report["verified"], state = False, State.ROLLBACK_FAILED
        report["problems"] = [*way.problems, f"the ledger could not be written: {error}"]
    return {**report, "stack": context.stack, "state": state}


def next_step(context: Context) -> str:
    """The one command for a person after an incomplete rollback."""
    return f"release rollback --stack {context.stack} --reason 'finish the rollback'"
