"""The bake of a release: while it lasts, an alarm that rings moves traffic back, and no run takes part.

A rule of EventBridge hears the alarms and starts the foundation's state machine (components/way_back.py) with the
functions and the versions of the release before. A one-time schedule switches the rule off at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.arns import Arns
from components.naming import foundation_stack, names
from release.clients.aws import code_of
from release.errors import ReleaseError
from release.ledger.lifecycle import LedgerState, State
from release.traffic.aliases import Alias, Traffic
from release.traffic.schedules import OneTimeSchedules, whole_seconds

_TARGET: Final = "way-back"
_RETRY: Final = {"MaximumEventAgeInSeconds": 300, "MaximumRetryAttempts": 185}
"""A start that comes later could meet the traffic of a newer release."""
_TRIES: Final = 4
_CHANGED_MEANWHILE: Final = "ConcurrentModificationException"
_MISSING: Final = "ResourceNotFoundException"


class Bake:
    """The rule, its target and the schedule of one environment.

    `account` is asked only when something is set. `may_change` is called before each change, and raises where it is
    forbidden.
    """

    def __init__(
        self,
        environment: str,
        events: Any,
        scheduler: Any,
        account: Callable[[], str],
        may_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._names = names(environment)
        self._events = events
        self._account = account
        self._may_change = may_change
        self._schedules = OneTimeSchedules(environment, scheduler, account, may_change)

    def arm(self, stable: Mapping[str, str], alarms: Sequence[str], until: datetime) -> None:
        """Make sure that until `until` an alarm that begins to ring puts `live` on the stable versions.

        Replaces what is armed already. An alarm that rings by then starts nothing: look at the alarms afterwards.

        Raises:
            ReleaseError: It is not armed, or not as a whole.
        """
        arns = Arns(account_id=self._account(), region=self._events.meta.region_name, names=self._names)
        rule, what = self._names.bake_rule, "the bake could not be armed: no alarm would take traffic back"
        pattern = {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "resources": [arns.of("alarm", name) for name in sorted(alarms)],
            "detail": {"state": {"value": ["ALARM"]}},
        }
        moves = [
            {"FunctionName": self._names.function(function).function, "FunctionVersion": version}
            for function, version in sorted(stable.items())
        ]
        target = {
            "Id": _TARGET,
            "Arn": arns.of("state machine", self._names.way_back),
            "RoleArn": arns.of("role", self._names.way_back_role),
            "Input": json.dumps(moves),
            "RetryPolicy": dict(_RETRY),
        }
        # The end first: there is no moment with a rule that nobody switches off.
        self._schedules.put(
            self._names.bake_schedule,
            whole_seconds(until),
            ("eventbridge:disableRule", {"Name": rule}),
            why="Ends the bake of a release",
            unset=what,
        )
        try:
            self._change(
                self._events.put_rule,
                Name=rule,
                EventPattern=json.dumps(pattern),
                State="ENABLED",
                Description="Takes traffic back when an alarm rings while a release bakes",
            )
            self._change(self._events.put_targets, Rule=rule, Targets=[target])
        except (ClientError, BotoCoreError) as error:
            raise self._explained(what, error) from error

    def disarm(self) -> None:
        """Remove target, rule and schedule; what is missing is fine.

        Raises:
            ReleaseError: Something is left.
        """
        rule = self._names.bake_rule
        try:
            self._change(self._events.remove_targets, may_miss=True, Rule=rule, Ids=[_TARGET])
            self._change(self._events.delete_rule, may_miss=True, Name=rule)
            self._schedules.delete(self._names.bake_schedule)
        except (ClientError, BotoCoreError) as error:
            raise self._explained(
                f"the bake of {self._names.environment} could not be ended: an alarm might still take traffic back",
                error,
            ) from error

    def ends(self) -> datetime | None:
        """Return when the bake ends that is armed (UTC); `None`: none is armed.

        Raises:
            ReleaseError: AWS did not say.
        """
        return self._schedules.time_of(self._names.bake_schedule)

    def _change(self, call: Callable[..., Mapping[str, Any]], *, may_miss: bool = False, **request: Any) -> None:
        """Make a change; `may_miss`: what it is about may be missing."""
        for attempt in range(1, _TRIES + 1):
            self._may_change()
            try:
                answer = call(**request)
            except ClientError as error:
                if code_of(error) == _CHANGED_MEANWHILE and attempt < _TRIES:
                    continue
                if code_of(error) == _MISSING and may_miss:
                    return
                raise
            if failed := (answer or {}).get("FailedEntries"):
                first = failed[0]
                raise ClientError(
                    {"Error": {"Code": first.get("ErrorCode", ""), "Message": first.get("ErrorMessage", "")}},
                    "PutTargets" if "Targets" in request else "RemoveTargets",
                )
            return

    def _explained(self, what: str, error: Exception) -> ReleaseError:
        next_step = "try again"
        if code_of(error) in {"AccessDeniedException", "ValidationException", _MISSING}:
            next_step = (
                f"an administrator makes the state machine {self._names.way_back}, its roles and the right to start "
                f"it: pulumi up --stack {foundation_stack(self._names.environment)}"
            )
        return ReleaseError(what, why=str(error), next_step=next_step)


def gone_back(
    there: Mapping[str, Alias | None], confirmed: Mapping[str, str], before: Mapping[str, str]
) -> dict[str, str]:
    """Return the functions, with their versions, whose `live` is on the version `before` instead of the confirmed one.

    Empty where any `live` is anywhere else, or shares its traffic: the way back of a bake leaves no such thing.
    """
    back = {}
    for function, version in confirmed.items():
        live = there.get(function)
        if live is None or live.weights:
            return {}
        if live.version == version:
            continue
        if live.version != before.get(function):
            return {}
        back[function] = live.version
    return back


def taken_back(traffic: Traffic, view: LedgerState) -> dict[str, str]:
    """Return the functions, with their versions, that the way back of a bake has moved; empty: there are none.

    Who moves all traffic to exactly the release before, or a part of it, means the same as the alarm.

    Raises:
        ReleaseError: AWS did not answer.
    """
    if not may_be_taken_back(view) or view.confirmed is None or view.baking is None:
        return {}
    there = {function: traffic.alias(function) for function in view.confirmed.stable}
    return gone_back(there, view.confirmed.stable, view.baking.stable)


def may_be_taken_back(view: LedgerState) -> bool:
    """Whether nobody has changed anything since the confirmation of a release that bakes, or did."""
    return view.baking is not None and view.attempt is None and view.state is State.CONFIRMED
