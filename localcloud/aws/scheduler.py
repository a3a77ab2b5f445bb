"""Patches of moto's EventBridge Scheduler: it takes what AWS refuses, and forgets what an update says."""

import functools
import json
from datetime import UTC, datetime
from typing import Any

from moto.scheduler.exceptions import ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule
from moto.scheduler.responses import EventBridgeSchedulerResponse

from localcloud.aws.iam import trusts
from localcloud.schedules.expressions import At, ExpressionError, parse


def refuse_roles_that_scheduler_cannot_assume() -> None:
    """Roles: AWS takes a schedule only with a role that is there and trusts it; moto takes any text."""

    def check(target: dict[str, Any], **_: Any) -> None:
        if not trusts(target["RoleArn"], "scheduler"):
            raise ValidationException(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            )

    _check_before(check)


def refuse_expressions_that_never_fire() -> None:
    """Expressions: AWS refuses what is none, and the past; moto takes any text.

    What the local scheduler does not put into effect is refused as well: other time zones, a start and an end.
    """

    def check(schedule_expression: str, schedule_expression_timezone: str | None, **more: Any) -> None:
        if schedule_expression_timezone not in (None, "UTC") or more.get("start_date") or more.get("end_date"):
            raise ValidationException("The local scheduler knows neither time zones beside UTC nor a start and an end.")
        try:
            when = parse(schedule_expression)
        except ExpressionError as error:
            raise ValidationException(str(error)) from error
        if isinstance(when, At) and when.moment <= datetime.now(UTC):
            raise ValidationException(f"Invalid Schedule Expression {schedule_expression}.")

    _check_before(check)


def replace_schedules_as_a_whole() -> None:
    """Updates: what a request leaves out gets its default; moto drops the state and keeps the action at the end."""
    answer = EventBridgeSchedulerResponse.update_schedule

    def update(self: EventBridgeSchedulerResponse) -> str:
        answered = answer(self)
        name = self.uri.split("?")[0].split("/")[-1]
        schedule = self.scheduler_backend.get_schedule(self._get_param("GroupName"), name)
        schedule.state = self._get_param("State") or "ENABLED"
        schedule.action_after_completion = self._get_param("ActionAfterCompletion") or "NONE"
        return answered

    EventBridgeSchedulerResponse.update_schedule = update  # type: ignore[method-assign]


def answer_repeated_creations() -> None:
    """Creations with a token: the same request again (its answer was lost) succeeds; moto answers ConflictException."""
    answer = EventBridgeSchedulerResponse.create_schedule

    def create(self: EventBridgeSchedulerResponse) -> str:
        token, name = self._get_param("ClientToken"), self.uri.split("?")[0].split("/")[-1]
        group = self.scheduler_backend.get_schedule_group(self._get_param("GroupName"))
        known: Schedule | None = group.schedules.get(name)
        if known is not None and token and getattr(known, "client_token", None) == token:
            return json.dumps({"ScheduleArn": known.arn})
        answered = answer(self)
        setattr(group.schedules[name], "client_token", token)  # noqa: B010 - moto's class does not know it
        return answered

    EventBridgeSchedulerResponse.create_schedule = create  # type: ignore[method-assign]


def _check_before(check: Any) -> None:
    for name in ("create_schedule", "update_schedule"):
        method = getattr(EventBridgeSchedulerBackend, name)

        @functools.wraps(method)
        def checked(self: EventBridgeSchedulerBackend, *args: Any, method: Any = method, **request: Any) -> Schedule:
            check(**request)
            return method(self, *args, **request)

        setattr(EventBridgeSchedulerBackend, name, checked)
