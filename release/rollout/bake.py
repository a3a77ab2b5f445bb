"""The bake: it begins before a release is confirmed, and what its alarm has begun is finished here.

While a release bakes it is confirmed for the next release, and the cloud alone moves traffic back when an alarm rings
(`release.traffic.bake`). The stack then still is that of the failed release: `reap` brings it back, as every rollback.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from release.analysis.alarms import look_at_alarms
from release.context import Context
from release.ledger.lifecycle import Deployment
from release.reports import IdleReport, Report
from release.rollout.rollback import Failure, roll_back
from release.traffic.bake import taken_back

_RULE_ACTS_S: Final = 15.0
"""How long a new rule of EventBridge may take to hear events (clock). AWS says "a short period of time"."""


def begin(context: Context, before: Deployment | None, alarms: Sequence[str], *, contracts: bool) -> dict[str, Any]:
    """Arm the bake, and return what the entry of the confirmation says of it: until when and back where, or why not.

    An alarm that has rung meanwhile has started nothing: look at the alarms afterwards.

    Raises:
        ReleaseError: It could not be armed.
    """
    if why := _why_not(context, before, alarms, contracts=contracts):
        context.console.line(f"No bake: {why}.")
        return {"no_bake": why}
    assert before is not None  # noqa: S101 -- for the type checker: `_why_not` has said so
    seconds = context.settings.bake_s / context.clock.scale
    until = (context.clock.now() + timedelta(seconds=seconds)).replace(microsecond=0)
    with context.console.step(f"arming the bake: until {until:%H:%M:%S} UTC an alarm takes traffic back by itself"):
        context.bake.arm(before.stable, alarms, until)
        context.clock.sleep(_RULE_ACTS_S)
    stamp = until.isoformat().replace("+00:00", "Z")
    return {"baking_until": stamp, "back_to": before.release.model_dump(), "stable": before.stable}


def _why_not(context: Context, before: Deployment | None, alarms: Sequence[str], *, contracts: bool) -> str:
    if context.settings.bake_s == 0:
        return "bake_s is 0"
    if before is None:
        return "there is no release before this one to go back to"
    if not alarms:
        return "every alarm that judges releases is muted"
    if contracts:
        return "what only the release before needed is deleted now, so it could not serve users any more"
    return ""


def finish(context: Context) -> Report:
    """Finish what an alarm has begun: roll the confirmed release back to the one before it.

    Raises:
        ReleaseError: The release before is not known any more.
    """
    with context.leased("finish what an alarm began while the release was baking", later_job=True):
        view = context.ledger.view()
        moved = taken_back(context.traffic, view)
        if not moved or view.baking is None or view.confirmed is None:
            return IdleReport(stack=context.stack, state=view.state, nothing_to_do=True)
        target = context.ledger.confirmed(view.baking.to.digest)
        reason = f"{_which(context, view.confirmed)} while the release was baking, and traffic went back"
        reason += f" ({', '.join(f'{function} to version {version}' for function, version in moved.items())})"
        failure = Failure(view.confirmed.release, reason, 0.0, context.clock.monotonic())
        return roll_back(context, failure, target)


def _which(context: Context, confirmed: Deployment) -> str:
    """Name the alarms that ring still; one that has stopped meanwhile is not named."""
    verdict = look_at_alarms(context.aws.alarms, confirmed.alarms, context.clock)
    ringing = sorted(sample.name for sample in verdict.samples)
    return f"{', '.join(ringing)} rang" if ringing else "an alarm rang"
