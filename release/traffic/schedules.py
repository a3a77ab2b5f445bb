"""One-time schedules of EventBridge Scheduler that call one operation of AWS, as the safety role."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import foundation_stack, names
from release.clients.aws import code_of
from release.errors import ReleaseError

_GROUP: Final = "default"
_STAMP: Final = "at(%Y-%m-%dT%H:%M:%S)"
_RETRY: Final = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 185}
"""As often as AWS tries at all, but for an hour only: a call that comes later could meet a newer release's traffic."""
_TRIES: Final = 4
_MISSING: Final = "ResourceNotFoundException"
_TAKEN: Final = "ConflictException"
_NEEDS_ADMINISTRATOR: Final = frozenset({"AccessDeniedException", "ValidationException"})


class OneTimeSchedules:
    """One-time schedules of one environment, by name.

    `account` is asked only when something is set. `may_change` is called before each change, and raises where it is
    forbidden.
    """

    def __init__(
        self, environment: str, scheduler: Any, account: Callable[[], str], may_change: Callable[[], None]
    ) -> None:
        self._names = names(environment)
        self._scheduler = scheduler
        self._account = account
        self._may_change = may_change

    def put(self, name: str, at: datetime, call: tuple[str, Mapping[str, Any]], *, why: str, unset: str) -> None:
        """Make sure that at `at` (UTC, whole seconds) AWS makes the `call`: `lambda:updateAlias`, and its arguments.

        Replaces what is set already; setting the same again changes nothing. AWS fires within the minute that follows
        (its precision, https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).

        Args:
            name: The schedule's name.
            at: When it fires.
            call: Service and operation, and the arguments.
            why: Its description.
            unset: What to say where it could not be set.

        Raises:
            ReleaseError: It could not be set.
        """
        operation, arguments = call
        schedule = {
            "Name": name,
            "GroupName": _GROUP,
            "Description": why,
            "ScheduleExpression": at.strftime(_STAMP),
            "ScheduleExpressionTimezone": "UTC",
            "State": "ENABLED",
            "ActionAfterCompletion": "DELETE",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": f"arn:aws:scheduler:::aws-sdk:{operation}",
                "RoleArn": f"arn:aws:iam::{self._account()}:role/{self._names.safety_role}",
                "Input": json.dumps(arguments),
                "RetryPolicy": dict(_RETRY),
            },
        }
        # Create, or replace what is there; it may come or go between the two calls.
        for attempt in range(1, _TRIES + 1):
            put = self._scheduler.create_schedule if attempt % 2 else self._scheduler.update_schedule
            self._may_change()
            try:
                put(**schedule)
            except (ClientError, BotoCoreError) as error:
                if code_of(error) in {_TAKEN, _MISSING} and attempt < _TRIES:
                    continue
                raise self._explained(unset, error) from error
            return

    def delete(self, name: str) -> None:
        """Delete a schedule; a missing one is fine.

        Raises:
            ClientError, BotoCoreError: It could not be deleted, and would still fire.
        """
        for attempt in range(1, _TRIES + 1):
            self._may_change()
            try:
                self._scheduler.delete_schedule(Name=name, GroupName=_GROUP)
            except ClientError as error:
                if code_of(error) == _TAKEN and attempt < _TRIES:
                    continue  # somebody else changes it at this moment
                if code_of(error) != _MISSING:
                    raise
            return

    def time_of(self, name: str) -> datetime | None:
        """Return when a schedule fires (UTC); `None` where there is none that would.

        Raises:
            ReleaseError: AWS did not say, or the schedule of that name is none of ours.
        """
        try:
            answer = self._scheduler.get_schedule(Name=name, GroupName=_GROUP)
        except (ClientError, BotoCoreError) as error:
            if code_of(error) == _MISSING:
                return None
            raise self._explained(f"the safety schedule {name} could not be read", error) from error
        return _time_of(name, answer) if answer.get("State", "ENABLED") == "ENABLED" else None

    def _explained(self, what: str, error: Exception) -> ReleaseError:
        next_step = "try again"
        if code_of(error) in _NEEDS_ADMINISTRATOR:
            next_step = (
                f"an administrator makes the role {self._names.safety_role} and the right to pass it on: "
                f"pulumi up --stack {foundation_stack(self._names.environment)}"
            )
        return ReleaseError(what, why=str(error), next_step=next_step)


def whole_seconds(moment: datetime) -> datetime:
    """Return the first whole second that is not before `moment`, in UTC."""
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
