"""The failsafe of traffic: schedules that put `live` back on the stable versions when nobody else does.

They are set before traffic moves and removed when the release has ended. In between the cloud alone is enough: a runner
that is killed, or loses its network, leaves traffic on a candidate until the deadline and no longer. The role that they
run as is the foundation's and can only move aliases (components/policies/safety.py).

A function that the release adds has no stable version, and so no schedule: its `live` stays until `release reap`. What
was there before goes back without it, because the stable release does not call it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import LIVE, foundation_stack, names
from release.clients.aws import code_of
from release.errors import ReleaseError

_TARGET: Final = "arn:aws:scheduler:::aws-sdk:lambda:updateAlias"
_GROUP: Final = "default"
_STAMP: Final = "at(%Y-%m-%dT%H:%M:%S)"
_RETRY: Final = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 185}
"""As often as AWS tries at all, but for an hour only: a call that comes later could meet a newer release's traffic."""
_TRIES: Final = 4
_MISSING: Final = "ResourceNotFoundException"
_TAKEN: Final = "ConflictException"
_NEEDS_ADMINISTRATOR: Final = frozenset({"AccessDeniedException", "ValidationException"})


class Failsafe:
    """One-time schedules of one environment, one per function.

    `account` is asked only when something is set. `may_change` is called before each change, and raises where it is
    forbidden.
    """

    def __init__(
        self,
        environment: str,
        scheduler: Any,
        account: Callable[[], str],
        may_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._names = names(environment)
        self._may_change = may_change
        self._scheduler = scheduler
        self._account = account

    def set(self, stable: Mapping[str, str], deadline: datetime) -> None:
        """Make sure that at `deadline` each function's `live` goes to its stable version, without weights.

        Replaces what is set already; setting the same again changes nothing. AWS fires within the minute that follows
        the deadline (its precision, https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).

        Raises:
            ReleaseError: A schedule could not be set, or the deadline has passed. Traffic must not be moved then.
        """
        at = _whole_seconds(deadline)
        if at <= datetime.now(UTC):
            raise ReleaseError(
                "traffic was not moved: the schedule that takes it back would lie in the past",
                why=f"the deadline was {at:%Y-%m-%d %H:%M:%S} UTC",
                next_step="start the release again; if this happens every time, look at the clock of the runner",
            )
        role = f"arn:aws:iam::{self._account()}:role/{self._names.safety_role}"
        for function, version in sorted(stable.items()):
            self._put(function, self._schedule(function, version, at, role))

    def remove(self, functions: Iterable[str]) -> None:
        """Remove the schedules of `functions`; a missing one is fine.

        Raises:
            ReleaseError: One could not be removed, after all others were tried. It would still fire.
        """
        failures = []
        for function in sorted(functions):
            try:
                self._delete(function)
            except (ClientError, BotoCoreError) as error:
                failures.append((self._names.function(function).safety_schedule, error))
        if failures:
            schedules = " ".join(name for name, _ in failures)
            raise ReleaseError(
                f"the safety schedules {schedules} could not be removed: they would move `{LIVE}` at their time",
                why=str(failures[0][1]),
                next_step="try again, or delete them: aws scheduler delete-schedule --name NAME",
            ) from failures[0][1]

    def pending(self, functions: Iterable[str]) -> dict[str, datetime]:
        """Return when traffic of each function goes back (UTC), without functions that have no schedule to fire.

        Raises:
            ReleaseError: AWS did not say, or a schedule of that name is none of ours.
        """
        found = {}
        for function in sorted(functions):
            name = self._names.function(function).safety_schedule
            try:
                answer = self._scheduler.get_schedule(Name=name, GroupName=_GROUP)
            except (ClientError, BotoCoreError) as error:
                if code_of(error) == _MISSING:
                    continue
                raise self._explained(f"the safety schedule {name} could not be read", error) from error
            if answer.get("State", "ENABLED") == "ENABLED":
                found[function] = _time_of(name, answer)
        return found

    def _schedule(self, function: str, version: str, at: datetime, role: str) -> dict[str, Any]:
        own = self._names.function(function)
        move = {
            "FunctionName": own.function,
            "Name": LIVE,
            "FunctionVersion": version,
            "RoutingConfig": {"AdditionalVersionWeights": {}},  # left out, the weights would stay as they are
        }
        return {
            "Name": own.safety_schedule,
            "GroupName": _GROUP,
            "Description": f"Puts {LIVE} back on version {version} when the run that moved it is gone",
            "ScheduleExpression": at.strftime(_STAMP),
            "ScheduleExpressionTimezone": "UTC",
            "State": "ENABLED",
            "ActionAfterCompletion": "DELETE",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": _TARGET, "RoleArn": role, "Input": json.dumps(move), "RetryPolicy": dict(_RETRY)},
        }

    def _put(self, function: str, schedule: dict[str, Any]) -> None:
        """Create, or replace what is there; it may come or go between the two calls."""
        what = f"the safety schedule of {function} could not be set, so its traffic must not be moved"
        for attempt in range(1, _TRIES + 1):
            call = self._scheduler.create_schedule if attempt % 2 else self._scheduler.update_schedule
            self._may_change()
            try:
                call(**schedule)
            except (ClientError, BotoCoreError) as error:
                if code_of(error) in {_TAKEN, _MISSING} and attempt < _TRIES:
                    continue
                raise self._explained(what, error) from error
            return

    def _delete(self, function: str) -> None:
        for attempt in range(1, _TRIES + 1):
            self._may_change()
            try:
                self._scheduler.delete_schedule(Name=self._names.function(function).safety_schedule, GroupName=_GROUP)
            except ClientError as error:
                if code_of(error) == _TAKEN and attempt < _TRIES:
                    continue  # somebody else changes it at this moment
                if code_of(error) != _MISSING:
                    raise
            return

    def _explained(self, what: str, error: Exception) -> ReleaseError:
        next_step = "try again"
        if code_of(error) in _NEEDS_ADMINISTRATOR:
            next_step = (
                f"an administrator makes the role {self._names.safety_role} and the right to pass it on: "
                f"pulumi up --stack {foundation_stack(self._names.environment)}"
            )
        return ReleaseError(what, why=str(error), next_step=next_step)


def _whole_seconds(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"a deadline needs a time zone, {moment} has none")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)


def _time_of(name: str, answer: Mapping[str, Any]) -> datetime:
    expression = f"{answer['ScheduleExpression']} {answer.get('ScheduleExpressionTimezone', 'UTC')}"
    try:
        return datetime.strptime(expression, f"{_STAMP} UTC").replace(tzinfo=UTC)
    except ValueError as error:
        raise ReleaseError(
            f"the schedule {name} is not the one-time schedule that the releaser sets",
            why=f"it is {expression}",
            next_step=f"find out who changed it, then: aws scheduler delete-schedule --name {name}",
        ) from error
