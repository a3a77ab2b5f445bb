"""The alarms that judge releases, as CloudWatch describes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from release.analysis.verdict import AlarmState, Outcome, Verdict, analyse_alarms
from release.analysis.watch import Watcher
from release.clock import Clock
from release.settings import METRIC_PERIOD_S, ReleaseSettings

_ALARMS_AT_ONCE: Final = 100
"""Most names that DescribeAlarms takes."""


def alarm_states(alarms: Any, expected: Sequence[str], now: datetime) -> list[AlarmState]:
    """The named metric alarms as CloudWatch describes them; composite alarms decide nothing."""
    described: list[dict[str, Any]] = []
    for first in range(0, len(expected), _ALARMS_AT_ONCE):
        call: dict[str, Any] = {"AlarmNames": list(expected[first : first + _ALARMS_AT_ONCE])}
        while True:
            answer = alarms.describe_alarms(**call, AlarmTypes=["MetricAlarm"], MaxRecords=_ALARMS_AT_ONCE)
            described += answer["MetricAlarms"]
            if not answer.get("NextToken"):
                break
            call["NextToken"] = answer["NextToken"]
    return [
        AlarmState(
            alarm["AlarmName"],
            alarm["StateValue"],
            alarm.get("StateReason", ""),
            alarm["ActionsEnabled"],
            age_s=(now - alarm["AlarmConfigurationUpdatedTimestamp"]).total_seconds(),
            evaluation_s=_period_of(alarm) * alarm["EvaluationPeriods"],
        )
        for alarm in described
    ]


def _period_of(alarm: dict[str, Any]) -> int:
    """Seconds of one period: the alarm's own, or the longest of the metrics that it calculates with."""
    metrics = alarm.get("Metrics") or []
    inner = [metric.get("MetricStat", metric).get("Period") or 0 for metric in metrics]
    return alarm.get("Period") or max(inner, default=0) or METRIC_PERIOD_S


def look_at_alarms(alarms: Any, expected: Sequence[str], clock: Clock) -> Verdict:
    """The verdict over the alarms as they stand now; CloudWatch not answering is `inconclusive`."""
    try:
        return analyse_alarms(expected, alarm_states(alarms, expected, clock.now()), clock.scale)
    except (ClientError, BotoCoreError) as error:
        return Verdict("alarms", Outcome.INCONCLUSIVE, "CloudWatch must answer", str(error))


class AlarmWatch(Watcher):
    """The alarms that decide over releases."""

    def __init__(self, cloudwatch: Any, names: Sequence[str], settings: ReleaseSettings, clock: Clock) -> None:
        super().__init__(settings.watch_unmeasured_limit)
        self._cloudwatch, self._names, self._clock = cloudwatch, names, clock
        self._delay_s, self._began = settings.metric_delay_s, clock.monotonic()
        self._seen = Verdict("alarms", Outcome.INCONCLUSIVE, "", "not looked at yet")

    def take(self) -> None:
        """Describe all of them."""
        self._seen = look_at_alarms(self._cloudwatch, self._names, self._clock)
        # An alarm that waits for its first state may still get one; one that is missing or muted sees nothing.
        blind = self._seen.outcome is Outcome.INCONCLUSIVE and self._seen.numbers.get("blind", 1) > 0
        self.silent = self.silent + 1 if blind else 0

    def verdict(self) -> Verdict:
        """Return how they stand now: one that rings ends the window, so the last look is the evidence of all."""
        return self._seen

    @property
    def done(self) -> bool:
        """Whether each has had its whole evaluation, of metrics as late as CloudWatch shows them."""
        slowest = self._seen.numbers.get("longest_evaluation_s", 0.0)
        return self.silent == 0 and self._clock.elapsed(self._began) >= slowest + self._delay_s
