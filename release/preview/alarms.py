"""Alarms that an update makes, removes or changes, told as people say them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from release.preview.plan import Alarm

_TYPE: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
_THAN: Final = {
    "GreaterThanOrEqualToThreshold": ">=",
    "GreaterThanThreshold": ">",
    "LessThanOrEqualToThreshold": "<=",
    "LessThanThreshold": "<",
}


def alarm_changes(steps: Iterable[Mapping[str, Any]]) -> tuple[Alarm, ...]:
    """The alarms of the steps of a preview that ring at other times afterwards."""
    found = []
    for step in steps:
        old, new = step.get("oldState") or {}, step.get("newState") or {}
        if step.get("op") == "same" or (new or old).get("type") != _TYPE:
            continue
        before = _rings(old.get("inputs") or {})
        after = None if step.get("op") == "delete" else _rings(new.get("inputs") or {})
        if before != after:
            name = (new.get("inputs") or old.get("inputs") or {}).get("name") or str(step["urn"]).rsplit("::", 1)[-1]
            found.append(Alarm(name=str(name), before=before, after=after))
    return tuple(sorted(found, key=lambda alarm: alarm.name))


def _rings(inputs: Mapping[str, Any]) -> str | None:
    """Return the condition of an alarm with these inputs; `None` where there is none."""
    if not inputs:
        return None
    periods = inputs.get("evaluationPeriods", 1)
    needed = inputs.get("datapointsToAlarm") or periods
    watched, period = _watched(inputs)
    than = _THAN.get(str(inputs.get("comparisonOperator")), str(inputs.get("comparisonOperator")))
    window = f" of {period} s" if period else ""
    missing = inputs.get("treatMissingData") or "missing"
    acts = len(inputs.get("alarmActions") or ())
    quiet = ", tells nobody" if not acts or inputs.get("actionsEnabled") is False else ""
    return (
        f"{watched} {than} {inputs.get('threshold')} in {needed} of {periods} periods{window}; "
        f"no data: {missing}{quiet}"
    )


def _watched(inputs: Mapping[str, Any]) -> tuple[str, Any]:
    """Return what an alarm looks at, and the seconds of one period."""
    queries = inputs.get("metricQueries") or ()
    for query in queries:
        if query.get("expression"):
            periods = [(one.get("metric") or {}).get("period") or 0 for one in queries]
            return str(query["expression"]), max(periods)
    statistic = inputs.get("statistic") or inputs.get("extendedStatistic") or "math"
    return f"{statistic} of {inputs.get('metricName') or 'expression'}", inputs.get("period")
