"""The CloudWatch dashboard of a service stack, made from the alarm table and the functions. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from components.service.alarms import AlarmSpec, alarms
from components.service.functions import KEYS
from components.settings import Settings

_COLUMNS: Final = 24
_HEIGHT: Final = 6
_ALARMS_HEIGHT: Final = 4
_PERIOD_SECONDS: Final = 300

Metric = list[Any]


def overview(settings: Settings) -> dict[str, Any]:
    """The body: state of all alarms, calls of each function, and the table, queue and metrics of our own.

    It names no release, so that it changes with the program only.
    """
    arns, rows = settings.arns, alarms(settings)
    state = {
        "type": "alarm",
        "x": 0,
        "y": 0,
        "width": _COLUMNS,
        "height": _ALARMS_HEIGHT,
        "properties": {"title": "Alarms", "alarms": [arns.of("alarm", row.name) for row in rows]},
    }
    functions = [_calls(settings, key) for key in KEYS]
    rest = [_table(settings), *(_watched(settings, row) for row in rows if row.namespace != "AWS/Lambda")]
    return {
        "widgets": [
            state,
            *_in_a_row(functions, _ALARMS_HEIGHT),
            *_in_a_row(rest, _ALARMS_HEIGHT + _HEIGHT),
        ]
    }


def console_url(settings: Settings) -> str:
    """Where people look at it."""
    region = settings.region
    return (
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        f"#dashboards/dashboard/{settings.arns.names.overview}"
    )


def _calls(settings: Settings, key: str) -> dict[str, Any]:
    names = settings.arns.names.function(key)
    live = {"FunctionName": names.function, "Resource": names.alias_resource()}
    counted = [_metric("AWS/Lambda", name, live, stat="Sum") for name in ("Invocations", "Errors", "Throttles")]
    duration = _metric("AWS/Lambda", "Duration", live, stat="p90", yAxis="right")
    return _properties(settings, f"Calls of {key}", [*counted, duration])


def _table(settings: Settings) -> dict[str, Any]:
    table = {"TableName": settings.arns.names.items_table}
    consumed = [
        _metric("AWS/DynamoDB", name, table, stat="Sum")
        for name in ("ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits")
    ]
    throttled = [
        _metric("AWS/DynamoDB", name, table, stat="Sum", yAxis="right")
        for name in ("ReadThrottleEvents", "WriteThrottleEvents")
    ]
    return _properties(settings, "Items table", [*consumed, *throttled])


def _watched(settings: Settings, row: AlarmSpec) -> dict[str, Any]:
    """The metric of an alarm, with the threshold as a line."""
    metric = _metric(row.namespace, row.metric, row.dimensions, stat=row.statistic)
    properties = _properties(settings, row.key, [metric])
    return properties | {"annotations": {"horizontal": [{"label": row.name, "value": row.threshold}]}}


def _metric(namespace: str, name: str, dimensions: Mapping[str, str], **rendered: str) -> Metric:
    return [namespace, name, *(text for pair in dimensions.items() for text in pair), rendered]


def _properties(settings: Settings, title: str, metrics: list[Metric]) -> dict[str, Any]:
    return {
        "title": title,
        "region": settings.region,
        "view": "timeSeries",
        "period": _PERIOD_SECONDS,
        "metrics": metrics,
    }


def _in_a_row(properties: list[dict[str, Any]], y: int) -> list[dict[str, Any]]:
    width = _COLUMNS // len(properties)
    return [
        {"type": "metric", "x": number * width, "y": y, "width": width, "height": _HEIGHT, "properties": one}
        for number, one in enumerate(properties)
    ]
