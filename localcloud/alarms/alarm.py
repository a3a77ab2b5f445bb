"""One metric alarm: what CloudWatch describes of it, its view of the data, and its next state. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from localcloud.alarms.formula import Formula
from localcloud.alarms.rules import COMPARISONS, AlarmRule, Missing, StateValue, decide

_OF_ONE_METRIC: Final = ("MetricName", "Namespace", "Dimensions", "Period", "Statistic", "ExtendedStatistic", "Unit")
_ITSELF: Final = "m"
"""Id of the metric of an alarm on one metric."""


class UnsupportedAlarmError(ValueError):
    """An alarm of a kind that is not evaluated here; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What an alarm looks at.

    Attributes:
        stats: `MetricStat` of each metric, by id; all of one period.
        formula: what is calculated with them; None where there is one metric, and it is the value itself.
    """

    stats: Mapping[str, Mapping[str, Any]]
    formula: Formula | None = None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """Read the metrics of a description, or those of PutMetricAlarm.

        Raises:
            ValueError: CloudWatch takes no such alarm, or it is not evaluated here.
        """
        queries: Sequence[Mapping[str, Any]] = described.get("Metrics") or ()
        if not queries:
            return cls(stats={_ITSELF: _stat_of(described)})
        if both := [name for name in _OF_ONE_METRIC if described.get(name)]:
            raise ValueError(f"{', '.join(both)} must not be set beside a list of metrics")
        expressions = [query for query in queries if query.get("Expression")]
        stats = {query["Id"]: query["MetricStat"] for query in queries if query.get("MetricStat")}
        if len(expressions) != 1 or len(stats) != len(queries) - 1:
            raise UnsupportedAlarmError(
                "only alarms on one expression over metrics with different ids are evaluated here"
            )
        # A query that does not say so returns data.
        returned = [query["Id"] for query in queries if query.get("ReturnData") is not False]
        if returned != [expressions[0]["Id"]]:
            raise UnsupportedAlarmError(
                f"the expression alone must return data for an alarm, not {', '.join(returned) or 'nothing'}"
            )
        if wrong := [query["Id"] for query in queries if not query["Id"][:1].islower()]:
            raise ValueError(f"an id begins with a lowercase letter, unlike {', '.join(wrong)}")
        periods = {int(stat["Period"]) for stat in stats.values()}
        if len(periods) != 1:
            raise UnsupportedAlarmError("only metrics of one and the same period are evaluated here")
        return cls(stats=stats, formula=Formula(expressions[0]["Expression"], frozenset(stats)))

    @property
    def period(self) -> int:
        """Seconds of one period."""
        return int(next(iter(self.stats.values()))["Period"])


def _stat_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metric of an alarm on one metric as a query tells it."""
    metric = {name: described[name] for name in ("Namespace", "MetricName")}
    return {
        "Metric": {**metric, "Dimensions": described.get("Dimensions", [])},
        "Period": described["Period"],
        "Stat": described.get("Statistic") or described["ExtendedStatistic"],
        "Unit": described.get("Unit"),
    }


@dataclass(frozen=True, kw_only=True)
class MetricAlarm:
    """A metric alarm.

    Attributes:
        name: its name.
        state: the state that it has now.
        state_since: when it got there.
        rule: when it rings.
        watched: what it looks at.
        period: real seconds of one period (already divided by the clock's scale).
        described: CloudWatch's whole description.
    """

    name: str
    state: StateValue
    state_since: datetime
    rule: AlarmRule
    watched: Watched
    period: int
    described: Mapping[str, Any]

    @classmethod
    def of(cls, described: Mapping[str, Any], scale: float) -> Self:
        """Read a description as DescribeAlarms gives it; `scale` is how much faster the clock runs.

        Raises:
            UnsupportedAlarmError: for anomaly detection and comparisons that belong to it.
            ValueError: for metrics and expressions that are not evaluated here.
        """
        if described["ComparisonOperator"] not in COMPARISONS:
            raise UnsupportedAlarmError("only alarms with a fixed threshold are evaluated here")
        watched = Watched.of(described)
        periods = int(described["EvaluationPeriods"])
        return cls(
            name=described["AlarmName"],
            state=StateValue(described["StateValue"]),
            state_since=described["StateUpdatedTimestamp"],
            rule=AlarmRule(
                comparison=described["ComparisonOperator"],
                threshold=float(described["Threshold"]),
                # Whether more data take a breach back, nobody knows of an expression.
                statistic="" if watched.formula else watched.stats[_ITSELF]["Stat"],
                evaluation_periods=periods,
                datapoints_to_alarm=int(described.get("DatapointsToAlarm") or periods),
                missing=Missing(described.get("TreatMissingData") or Missing.MISSING),
            ),
            watched=watched,
            period=max(1, round(watched.period / scale)),
            described=described,
        )

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return, by id of a metric, the `MetricStat` with which GetMetricData is asked for it."""
        found = {}
        for name, wanted in self.watched.stats.items():
            metric = wanted["Metric"]
            dimensions = sorted(metric.get("Dimensions", []), key=lambda one: one["Name"])
            stat = {"Metric": {**metric, "Dimensions": dimensions}, "Period": self.period, "Stat": wanted["Stat"]}
            found[name] = {**stat, "Unit": wanted["Unit"]} if wanted.get("Unit") else stat
        return found

    def values(self, metrics: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
        """Return start of period to value, from that of each metric by its id."""
        if self.watched.formula:
            return self.watched.formula.series(metrics)
        return dict(metrics.get(_ITSELF, {}))

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
