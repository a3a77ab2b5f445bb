"""The alarm table: every alarm of a service stack, whom it judges, and what it does when no data arrive, and why.

Pure: `monitoring.py` makes the alarms. The releaser, the cost document and the tests read the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from components.schedules import longest_gap
from components.service.functions import FUNCTIONS, FunctionSpec, Trigger
from components.settings import Settings

NEWS_NAMESPACE: Final = "SentimentPipeline"
"""Namespace of the metrics that `lambdas/` writes into its logs, in CloudWatch's embedded metric format."""
_NEWS_FUNCTION: Final = "ingestion"
"""The function that asks the news service, and whose code emits `NewsFailures`."""

_MINUTE, _DAY = 60, 24 * 3600
_SHORTEST_RHYTHM_SECONDS: Final = 5 * _MINUTE
"""Metrics come one or two minutes late: runs of every minute are not looked for minute by minute."""
_SLOW_MILLISECONDS: Final = 3000
"""A person waits no longer; so does the canary for an answer (`answer_limit_s` of release/settings.py)."""
_FEW_ERRORS: Final = 2
_FEW_ERRORS_PERCENT: Final = 20
"""So few errors count where they are so large a share of the calls: one error of a single call proves nothing."""


class Judges(StrEnum):
    """What an alarm that rings says something about."""

    RELEASE = "release"
    """The release: one that begins is refused, one that is watched is taken back. On-call is told."""
    SERVICE = "service"
    """The service as it is, whatever its release: on-call is told."""
    NONE = "none"
    """Nothing of ours: on-call is told, so that nobody looks for the cause here."""


class MissingData(StrEnum):
    """What a period without data counts as, in CloudWatch's words."""

    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


class Comparison(StrEnum):
    """How a data point is compared with the threshold, in CloudWatch's words."""

    AT_LEAST = "GreaterThanOrEqualToThreshold"
    ABOVE = "GreaterThanThreshold"
    BELOW = "LessThanThreshold"


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmSpec:
    """One alarm. It rings when `datapoints` of the last `evaluation_periods` periods breach ("M of N")."""

    key: str
    """Its name in the program."""
    name: str
    """Its name in CloudWatch."""
    function: str | None
    """Key of the function whose `live` it watches, with which it comes; None for what exists from the beginning."""
    description: str
    namespace: str
    metric: str
    """What it watches, or what its `expression` is about."""
    dimensions: Mapping[str, str]
    statistic: str
    """Sum, Maximum, ... or a percentile such as p90."""
    comparison: Comparison
    threshold: float
    period: int
    """In seconds."""
    evaluation_periods: int
    datapoints: int
    missing_data: MissingData
    missing_data_reason: str
    judges: Judges
    judges_reason: str
    expression: str = ""
    """Metric math over `inputs`, where no metric tells it alone."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The metrics of the expression by their ids in it: of the same namespace, dimensions, statistic and period."""


def alarms(settings: Settings) -> tuple[AlarmSpec, ...]:
    """The table, as it stands for the settings of one service stack."""
    return (
        *(_errors(settings, spec) for spec in FUNCTIONS),
        *(_slow(settings, spec) for spec in FUNCTIONS if spec.trigger is Trigger.URL),
        *(_throttled(settings, spec) for spec in FUNCTIONS if spec.trigger is Trigger.URL),
        *(_heartbeat(settings, spec) for spec in FUNCTIONS if spec.trigger is Trigger.SCHEDULE),
        _news_failing(settings),
        _dead_letters(settings),
    )


def _errors(settings: Settings, spec: FunctionSpec) -> AlarmSpec:
    """The alarm on failed calls: on one of a schedule, whose runs are few, and on their share where calls may be many.

    docs/figures/alarms.md tells how often the share is reached, from one call a minute to ten thousand.
    """
    once = spec.trigger is Trigger.SCHEDULE
    # CloudWatch takes a missing metric for 0, and drops what would be divided by it: no calls, no share, no alarm.
    share = "100 * errors / calls"
    enough = (
        f"errors >= {settings.error_alarm_least_errors} OR "
        f"(errors >= {_FEW_ERRORS} AND {share} >= {_FEW_ERRORS_PERCENT})"
    )
    rate: dict[str, Any] = {
        "expression": f"IF({enough}, {share}, 0)",
        "inputs": {"errors": "Errors", "calls": "Invocations"},
    }
    return _of_live(
        settings,
        spec,
        "errors",
        description="Calls of live failed" if once else "Too many calls of live failed, in percent",
        metric="Errors",
        statistic="Sum",
        comparison=Comparison.AT_LEAST,
        threshold=1 if once else settings.error_alarm_percent,
        period=_MINUTE,
        evaluation_periods=1,
        datapoints=1,
        missing_data=MissingData.NOT_BREACHING,
        missing_data_reason="Lambda emits Errors only when there are calls: no calls, no failed calls",
        judges=Judges.RELEASE,
        judges_reason="a release that fails its callers shows here within a minute, and going back mends it",
        **({} if once else rate),
    )


def _slow(settings: Settings, spec: FunctionSpec) -> AlarmSpec:
    return _of_live(
        settings,
        spec,
        "slow",
        description="One answer in ten is slow, for three of five minutes. Look at the table's latency and throttling",
        metric="Duration",
        statistic="p90",
        comparison=Comparison.ABOVE,
        threshold=_SLOW_MILLISECONDS,
        period=_MINUTE,
        evaluation_periods=5,
        datapoints=3,
        missing_data=MissingData.NOT_BREACHING,
        missing_data_reason="without calls nobody waits",
        judges=Judges.SERVICE,
        judges_reason="all instances of a new version are cold at first, so a healthy release would ring it too; "
        "the canary times each answer of the new version itself, with the same limit",
    )


def _throttled(settings: Settings, spec: FunctionSpec) -> AlarmSpec:
    return _of_live(
        settings,
        spec,
        "throttled",
        description="Callers were turned away in two of three minutes. Look at the account's concurrent executions",
        metric="Throttles",
        statistic="Sum",
        comparison=Comparison.AT_LEAST,
        threshold=1,
        period=_MINUTE,
        evaluation_periods=3,
        datapoints=2,
        missing_data=MissingData.NOT_BREACHING,
        missing_data_reason="without calls nobody is turned away",
        judges=Judges.SERVICE,
        judges_reason="all functions share the account's concurrency, with the canary's own requests: "
        "it says that there is too little, not that a release is bad",
    )


def _heartbeat(settings: Settings, spec: FunctionSpec) -> AlarmSpec:
    period, periods = _rhythm(settings)
    return _of_live(
        settings,
        spec,
        "heartbeat",
        description=f"Runs of {spec.key} are missing. Look at its schedule and the role of the schedule",
        metric="Invocations",
        statistic="Sum",
        comparison=Comparison.BELOW,
        threshold=1,
        period=period,
        evaluation_periods=periods,
        datapoints=periods,
        missing_data=MissingData.BREACHING,
        missing_data_reason="Lambda emits Invocations only when there are calls: a dead schedule shows as missing data",
        judges=Judges.SERVICE,
        judges_reason="it looks back over two runs of the schedule, longer than any watch; a release whose run fails "
        "shows as an error",
    )


def _news_failing(settings: Settings) -> AlarmSpec:
    names = settings.arns.names.function(_NEWS_FUNCTION)
    period, periods = _rhythm(settings)
    return AlarmSpec(
        key=f"{_NEWS_FUNCTION}-news-failing",
        name=names.alarm("news-failing"),
        function=_NEWS_FUNCTION,
        description="The news service fails run after run. Look at its key, its limits and its status page",
        namespace=NEWS_NAMESPACE,
        metric="NewsFailures",
        dimensions={"FunctionName": names.function},
        statistic="Sum",
        comparison=Comparison.AT_LEAST,
        threshold=1,
        period=period,
        evaluation_periods=periods,
        datapoints=2,
        missing_data=MissingData.NOT_BREACHING,
        missing_data_reason="each run emits it, with 0 when all is well: that there are no runs is the heartbeat's",
        judges=Judges.NONE,
        judges_reason="the news service is somebody else's: no release of ours breaks or mends it",
    )


def _dead_letters(settings: Settings) -> AlarmSpec:
    names = settings.arns.names
    return AlarmSpec(
        key="dead-letters-waiting",
        name=names.dead_letters_alarm,
        function=None,
        description="Events that nobody could process wait in the queue. Read them, fix the cause, send them again",
        namespace="AWS/SQS",
        metric="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": names.dead_letters_queue},
        statistic="Maximum",
        comparison=Comparison.AT_LEAST,
        threshold=1,
        period=5 * _MINUTE,
        evaluation_periods=1,
        datapoints=1,
        missing_data=MissingData.NOT_BREACHING,
        missing_data_reason="SQS emits nothing for a queue that was empty and untouched for six hours",
        judges=Judges.SERVICE,
        judges_reason="an event lies there until a person has looked, for up to 14 days: it would refuse the very "
        "release that mends it",
    )


def _of_live(settings: Settings, spec: FunctionSpec, what: str, **row: Any) -> AlarmSpec:
    """An alarm on calls through `live`: these carry both dimensions; Resource is function:alias, not an ARN."""
    names = settings.arns.names.function(spec.key)
    return AlarmSpec(
        key=f"{spec.key}-{what}",
        name=names.alarm(what),
        function=spec.key,
        namespace="AWS/Lambda",
        dimensions={"FunctionName": names.function, "Resource": names.alias_resource()},
        **row,
    )


def _rhythm(settings: Settings) -> tuple[int, int]:
    """Period (seconds) and number of periods in which a healthy schedule runs at least twice.

    One run that is late or lost leaves one period empty, never all. CloudWatch takes periods of up to a day here, and
    looks back seven days at most: the settings refuse schedules that run too seldom for that.
    """
    gap = longest_gap(settings.schedule_expression)
    period = min(max(math.ceil(gap / _MINUTE) * _MINUTE, _SHORTEST_RHYTHM_SECONDS), _DAY)
    return period, max(2, math.ceil(2 * gap / period))
