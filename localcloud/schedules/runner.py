"""One poll of all schedules: which are new or changed, which are due; and the calls that follow.

Deviations from AWS: a schedule fires at its second and not within the minute after it; a `rate` schedule fires first
after one whole interval, which `LOCALCLOUD_CLOCK` divides, and not at once (a rehearsal that has just deployed it would
be disturbed by a run that it does not expect); a failed call is repeated a few times within seconds, not for a day;
`cron` schedules are not fired. The time of `at` is a moment: it is not scaled.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from localcloud.schedules.expressions import At, Cron, ExpressionError, Rate, parse
from localcloud.schedules.sdk import Clients, TargetError
from localcloud.schedules.targets import Firing, call

_log = logging.getLogger("schedules")
_DELAYS_S: Final = (0.5, 1.0, 2.0, 5.0)
_CALLS_AT_ONCE: Final = 8
_SHORTEST_PAUSE_S: Final = 0.01
_SERVER_ERROR: Final = 500
_PASSING: Final = frozenset({"ResourceConflictException", "TooManyRequestsException", "ThrottlingException"})
"""Refusals that another try may overcome."""


@dataclass(slots=True)
class _Known:
    """A schedule as it was read last, and when it is due (seconds since the epoch; None for never)."""

    schedule: Mapping[str, Any]
    when: At | Rate | None
    due: float | None


class Runner:
    """Fires the schedules of the account.

    Args:
        clients: Gives the boto3 client of a service.
        scale: How much faster the clock runs: intervals are divided by it.
        now: Seconds since the epoch.
        delays: Seconds to wait before each further call after one that failed.
        executor: What makes the calls; a poll never waits for one.
    """

    def __init__(
        self,
        clients: Clients,
        scale: float = 1.0,
        now: Callable[[], float] = time.time,
        delays: Sequence[float] = _DELAYS_S,
        executor: Executor | None = None,
    ) -> None:
        self._clients, self._scale, self._now, self._delays = clients, scale, now, delays
        self._executor = executor or ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="schedule")
        self._known: dict[str, _Known] = {}

    def run_once(self) -> int:
        """Read what is new, start what is due.

        Returns:
            How many schedules there are.

        Raises:
            BotoCoreError, ClientError: The scheduler cannot be asked at all.
        """
        listed = self._list()
        self._known = {arn: known for arn, known in self._known.items() if arn in listed}
        for arn, summary in listed.items():
            known = self._known.get(arn)
            if known is None or known.schedule["LastModificationDate"] != summary["LastModificationDate"]:
                self._learn(arn, summary)
        for known in self._known.values():
            if known.due is not None and known.due <= self._now():
                self._start(known)
        return len(listed)

    def pause(self, longest: float) -> float:
        """Seconds until the next schedule is due, at most `longest`."""
        due = min((known.due for known in self._known.values() if known.due is not None), default=float("inf"))
        return max(_SHORTEST_PAUSE_S, min(longest, due - self._now()))

    def _list(self) -> dict[str, Mapping[str, Any]]:
        pages = self._clients("scheduler").get_paginator("list_schedules").paginate()
        return {summary["Arn"]: summary for page in pages for summary in page["Schedules"]}

    def _read(self, schedule: Mapping[str, Any]) -> dict[str, Any] | None:
        """The schedule as it is now; None when it has gone."""
        try:
            return self._clients("scheduler").get_schedule(GroupName=schedule["GroupName"], Name=schedule["Name"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return None

    def _learn(self, arn: str, summary: Mapping[str, Any]) -> None:
        schedule = self._read(summary)
        if schedule is None:
            return
        when = _understood(schedule)
        due = self._first_due(schedule, when)
        if due is not None:
            _log.info("schedule %s: next at %s", _name(schedule), _stamp(due))
        self._known[arn] = _Known(schedule, when, due)

    def _first_due(self, schedule: Mapping[str, Any], when: At | Rate | None) -> float | None:
        if schedule.get("State", "ENABLED") != "ENABLED" or when is None:
            return None
        if isinstance(when, At):
            return when.moment.timestamp()
        return schedule["LastModificationDate"].timestamp() + when.interval.total_seconds() / self._scale

    def _start(self, known: _Known) -> None:
        due, now = known.due or 0.0, self._now()
        if isinstance(known.when, Rate):
            interval = known.when.interval.total_seconds() / self._scale
            missed = int((now - due) / interval)  # the machine was asleep, or busy: one run makes up for all of them
            known.due = due + (missed + 1) * interval
        else:
            known.due = None
        self._executor.submit(self._fire, known.schedule, datetime.fromtimestamp(due, UTC))

    def _fire(self, schedule: Mapping[str, Any], due: datetime) -> None:
        name = _name(schedule)
        try:
            if not self._unchanged(schedule):
                _log.info("schedule %s was removed or changed before its time", name)
                return
            self._call(schedule, due)
            # A one-time schedule that was set anew meanwhile is a new one: it stays.
            if _is_once(schedule) and schedule.get("ActionAfterCompletion") == "DELETE" and self._unchanged(schedule):
                self._clients("scheduler").delete_schedule(GroupName=schedule["GroupName"], Name=schedule["Name"])
                _log.info("schedule %s: removed, as it asks for", name)
        except Exception:
            _log.exception("schedule %s failed", name)

    def _unchanged(self, schedule: Mapping[str, Any]) -> bool:
        now = self._read(schedule)
        return now is not None and now["LastModificationDate"] == schedule["LastModificationDate"]

    def _call(self, schedule: Mapping[str, Any], due: datetime) -> None:
        """Call the target until it takes the call, refuses it for good, or the tries are used up."""
        name = _name(schedule)
        most = schedule["Target"].get("RetryPolicy", {}).get("MaximumRetryAttempts", len(self._delays))
        for attempt, delay in enumerate((*self._delays[:most], None), start=1):
            try:
                _log.info("schedule %s: %s", name, call(Firing(schedule, due, attempt), self._clients))
            except (TargetError, BotoCoreError, ClientError) as error:
                if delay is None or not _may_pass(error):
                    _log.error("schedule %s: gave up after %d calls: %s", name, attempt, error)
                    self._bury(Firing(schedule, due, attempt), error)
                    return
                _log.warning("schedule %s: call %d failed, next in %.1f s: %s", name, attempt, delay, error)
                time.sleep(delay)
            else:
                return

    def _bury(self, firing: Firing, error: Exception) -> None:
        """Leave what could not be delivered in the schedule's dead-letter queue, if it has one."""
        queue = firing.schedule["Target"].get("DeadLetterConfig", {}).get("Arn")
        if not queue:
            return
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        attributes = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": str(error),
            "RETRY_ATTEMPTS": str(firing.attempt - 1),
            "SCHEDULED_TIME": firing.due.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "SCHEDULE_ARN": firing.schedule["Arn"],
            "TARGET_ARN": firing.schedule["Target"]["Arn"],
        }
        sqs = self._clients("sqs")
        sqs.send_message(
            QueueUrl=sqs.get_queue_url(QueueName=queue.rsplit(":", 1)[1])["QueueUrl"],
            MessageBody=firing.payload,
            MessageAttributes={key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()},
        )


def _name(schedule: Mapping[str, Any]) -> str:
    return f"{schedule['GroupName']}/{schedule['Name']}"


def _understood(schedule: Mapping[str, Any]) -> At | Rate | None:
    """When a schedule is due; None, with a word in the log, for one that is never fired here."""
    try:
        when = parse(schedule["ScheduleExpression"])
    except ExpressionError as error:
        _log.warning("schedule %s is not fired: %s", _name(schedule), error)
        return None
    if isinstance(when, Cron):
        _log.warning("schedule %s is not fired: %s is no `at` and no `rate`", _name(schedule), when.expression)
        return None
    return when


def _is_once(schedule: Mapping[str, Any]) -> bool:
    return schedule["ScheduleExpression"].startswith("at(")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= _SERVER_ERROR or error.response["Error"]["Code"] in _PASSING
    return isinstance(error, BotoCoreError) and not isinstance(error, ParamValidationError)


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
