"""When an alarm rings: pure. M of N data points, missing data, and points of a period that is still open.

The rules are CloudWatch's own (its tables of examples are the test cases): it looks at more periods than it evaluates,
prefers data points that exist over filling gaps, and with sparse data waits before it rings.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class StateValue(StrEnum):
    """State of an alarm, in CloudWatch's words."""

    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """What a missing data point counts as."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

# Periods that are looked at beyond those that are evaluated, in case some of these have no data.
EXTRA_PERIODS = 2


@dataclass(frozen=True, kw_only=True)
class AlarmRule:
    """When an alarm rings.

    Attributes:
        comparison: key of COMPARISONS.
        threshold: what a data point is compared with.
        statistic: Sum, Average, Minimum, Maximum, SampleCount or a percentile.
        evaluation_periods: N of "M of N".
        datapoints_to_alarm: M of "M of N".
        missing: what a missing data point counts as.
    """

    comparison: str
    threshold: float
    statistic: str
    evaluation_periods: int
    datapoints_to_alarm: int
    missing: Missing

    @property
    def periods(self) -> int:
        """How many periods are looked at."""
        return self.evaluation_periods + EXTRA_PERIODS

    def breaches(self, value: float) -> bool:
        """Whether one data point is on the wrong side of the threshold."""
        return COMPARISONS[self.comparison](value, self.threshold)

    def breaches_for_good(self, value: float) -> bool:
        """Whether an open period breaches already, whatever data it may still get."""
        grows = self.statistic in ("Sum", "SampleCount", "Maximum") and self.comparison.startswith("Greater")
        shrinks = self.statistic == "Minimum" and self.comparison.startswith("Less")
        return (grows or shrinks) and self.breaches(value)


def decide(rule: AlarmRule, points: Sequence[float | None], current: StateValue) -> StateValue:
    """Return the state of an alarm.

    Args:
        rule: when it rings.
        points: one value per period, oldest first, None where there is no data; as many as `rule.periods`.
        current: the state that it has.
    """
    needed, wanted = rule.evaluation_periods, rule.datapoints_to_alarm
    real = [rule.breaches(value) for value in points if value is not None]
    if len(real) >= needed:
        return _rings(sum(real[-needed:]) >= wanted)
    filled = needed - len(real)
    if rule.missing in (Missing.BREACHING, Missing.NOT_BREACHING):
        return _rings(sum(real) + (filled if rule.missing is Missing.BREACHING else 0) >= wanted)
    if not real:
        return current if rule.missing is Missing.IGNORE else StateValue.INSUFFICIENT_DATA
    if sum(real) >= wanted:
        return StateValue.ALARM
    if not all(real):
        return StateValue.OK
    # Only breaching points, but too few: the next one may be fine. It rings once the oldest is M periods old.
    oldest = len(points) - next(i for i, value in enumerate(points) if value is not None)
    return StateValue.ALARM if rule.missing is Missing.MISSING and oldest >= wanted else current


def _rings(breaching: bool) -> StateValue:
    return StateValue.ALARM if breaching else StateValue.OK
