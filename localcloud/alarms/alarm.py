"""One metric alarm: what CloudWatch describes of it, its view of the data, and its next state. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from localcloud.alarms.rules import COMPARISONS, AlarmRule, Missing, StateValue, decide


class UnsupportedAlarmError(ValueError):
    """An alarm of a kind that is not evaluated here; the message says which."""


@dataclass(frozen=True, kw_only=True)
class MetricAlarm:
    """A metric alarm.

    Attributes:
        name: its name.
        state: the state that it has now.
        state_since: when it got there.
        rule: when it rings.
        period: real seconds of one period (already divided by the clock's scale).
        described: CloudWatch's whole description.
    """

    name: str
    state: StateValue
    state_since: datetime
    rule: AlarmRule
    period: int
    described: Mapping[str, Any]

    @classmethod
    def of(cls, described: Mapping[str, Any], scale: float) -> Self:
        """Read a description as DescribeAlarms gives it; `scale` is how much faster the clock runs.

        Raises:
            UnsupportedAlarmError: for math, anomaly detection and comparisons that belong to it.
        """
        if "MetricName" not in described or described["ComparisonOperator"] not in COMPARISONS:
            raise UnsupportedAlarmError("only alarms on one metric and a fixed threshold are evaluated here")
        periods = int(described["EvaluationPeriods"])
        return cls(
            name=described["AlarmName"],
            state=StateValue(described["StateValue"]),
            state_since=described["StateUpdatedTimestamp"],
            rule=AlarmRule(
                comparison=described["ComparisonOperator"],
                threshold=float(described["Threshold"]),
                statistic=described.get("Statistic") or described["ExtendedStatistic"],
                evaluation_periods=periods,
                datapoints_to_alarm=int(described.get("DatapointsToAlarm") or periods),
                missing=Missing(described.get("TreatMissingData") or Missing.MISSING),
            ),
            period=max(1, round(int(described["Period"]) / scale)),
            described=described,
        )

    def query(self, query_id: str) -> dict[str, Any]:
        """Return the query for GetMetricData that this alarm needs."""
        metric = {
            "Namespace": self.described["Namespace"],
            "MetricName": self.described["MetricName"],
            "Dimensions": sorted(self.described.get("Dimensions", []), key=lambda one: one["Name"]),
        }
        stat: dict[str, Any] = {"Metric": metric, "Period": self.period, "Stat": self.rule.statistic}
        if self.described.get("Unit"):
            stat["Unit"] = self.described["Unit"]
        return {"Id": query_id, "MetricStat": stat}

    def first_period(self, now: float) -> int:
        """Return the start of the oldest period that is looked at: seconds since the epoch, as all starts here.

        It looks back twice as far as one evaluation needs, so that data which arrive late are seen as well.
        """
        return int(now // self.period) * self.period - 2 * self.rule.periods * self.period


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The next state of an alarm, and the periods (start, value) that decided it, oldest first."""

    state: StateValue
    evaluated: tuple[tuple[int, float | None], ...]


def evaluate(
    alarm: MetricAlarm, values: Mapping[int, float], before: Mapping[int, float] | None, now: float
) -> Evaluation:
    """Return the next state.

    Data may arrive late (a call is counted when it began): a closed period that has come to breach since the last look
    is judged too, otherwise newer periods would hide it. And as CloudWatch evaluates once in a period, an alarm rings
    for one period at least.

    Args:
        alarm: the alarm with its present state.
        values: start of a period to its value; periods without data are not there.
        before: what `values` was at the last look, None at the first one.
        now: seconds since the epoch.
    """
    open_period = int(now // alarm.period) * alarm.period
    newest = open_period - alarm.period
    current = values.get(open_period)
    if current is not None and alarm.rule.breaches_for_good(current):
        newest = open_period
    verdict = _as_of(newest, alarm, values)
    if verdict.state is StateValue.ALARM:
        return verdict
    for start in sorted(values.keys() - {open_period}, reverse=True):
        arrived_late = before is not None and before.get(start) != values[start]
        if arrived_late and alarm.rule.breaches(values[start]):
            late = _as_of(start, alarm, values)
            if late.state is StateValue.ALARM:
                return late
    if alarm.state is StateValue.ALARM and now - alarm.state_since.timestamp() < alarm.period:
        return Evaluation(state=StateValue.ALARM, evaluated=verdict.evaluated)
    return verdict


def _as_of(newest: int, alarm: MetricAlarm, values: Mapping[int, float]) -> Evaluation:
    starts = [newest - i * alarm.period for i in reversed(range(alarm.rule.periods))]
    points = [values.get(start) for start in starts]
    state = decide(alarm.rule, points, alarm.state)
    real = [(start, value) for start, value in zip(starts, points, strict=True) if value is not None]
    wanted = alarm.rule.evaluation_periods
    evaluated = real[-wanted:] if len(real) >= wanted else list(zip(starts, points, strict=True))[-wanted:]
    return Evaluation(state=state, evaluated=tuple(evaluated))
