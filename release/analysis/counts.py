"""Calls of `live` as CloudWatch counts them, and how many of them failed.

Calls through an alias carry the dimensions FunctionName and Resource (function:alias); while the alias has weights also
ExecutedVersion, the version that ran. Metrics come in periods of a minute, some minutes late: Lambda developer guide,
"Using CloudWatch metrics with Lambda". No alarm can carry a version that did not exist when the alarm was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.naming import LIVE, FunctionNames
from release.analysis.statistics import limit_for
from release.analysis.verdict import Outcome, Verdict
from release.analysis.watch import Watcher
from release.clock import Clock
from release.settings import METRIC_PERIOD_S, ReleaseSettings

_FALSE_ALARMS: Final = 0.001
"""Share of sound releases that one function's counts may call broken."""


def period_of(moment: datetime, clock: Clock, later: int = 0) -> datetime:
    """The beginning of the period of metrics in which `moment` lies, or of one so many periods later."""
    length = _period_s(clock)
    return datetime.fromtimestamp((moment.timestamp() // length + later) * length, UTC)


def _period_s(clock: Clock) -> int:
    """Real seconds of one period; a clock that runs faster has shorter ones, of one second at least."""
    return max(1, round(METRIC_PERIOD_S / clock.scale))


class Counts(Watcher):
    """The calls of one function.

    Args:
        cloudwatch: The client.
        names: The function.
        settings: The limits.
        clock: The clock.
        since: From when on calls count, the beginning of a period.
        answered: When the function has answered the releaser, or was sent something; others add to it meanwhile. Who
            counts less than that has not counted everything.
        version: The version whose calls count, while `live` shares its calls between two.
    """

    def __init__(
        self,
        cloudwatch: Any,
        names: FunctionNames,
        settings: ReleaseSettings,
        clock: Clock,
        *,
        since: datetime,
        answered: Sequence[datetime],
        version: str = "",
    ) -> None:
        super().__init__(settings.watch_unmeasured_limit)
        self._cloudwatch, self._names, self._settings, self._clock = cloudwatch, names, settings, clock
        self._since, self._answered, self._version = since, answered, version
        self._began, self._complaint = clock.monotonic(), ""
        self._counted: dict[str, float] = {"Invocations": 0, "Errors": 0}

    def take(self) -> None:
        """Count since `since`."""
        try:
            self._counted = self._sums()
        except (ClientError, BotoCoreError, _UncountedError) as error:
            self.silent, self._complaint = self.silent + 1, str(error)
        else:
            self.silent = 0

    @property
    def done(self) -> bool:
        """Whether CloudWatch has had its time to count at least one call that the releaser knows of."""
        patient = self._clock.elapsed(self._began) < self._settings.watch_s
        return self.silent == 0 and (self._known > 0 or not patient)

    @property
    def _known(self) -> int:
        """How many of the calls that the releaser knows of must be counted by now."""
        ripe = timedelta(seconds=(METRIC_PERIOD_S + self._settings.metric_delay_s) / self._clock.scale)
        return sum(self._since <= moment <= self._clock.now() - ripe for moment in self._answered)

    def verdict(self) -> Verdict:
        """Return what the counts say: who has counted fewer calls than the releaser knows of proves nothing."""
        calls, errors, known = int(self._counted["Invocations"]), int(self._counted["Errors"]), self._known
        limit = limit_for(calls, self._settings.sound_rate, _FALSE_ALARMS, least=2)
        numbers = {"invocations": calls, "errors": errors, "known": known, "looks_without_answer": self.silent}
        outcome, why = Outcome.PASS, f"{errors} of {calls} failed"
        if errors >= limit:
            outcome = Outcome.FAIL
        elif self.silent:
            outcome, why = Outcome.INCONCLUSIVE, f"could not be counted: {self._complaint}"
        elif calls < max(1, known):
            outcome, why = Outcome.INCONCLUSIVE, f"CloudWatch counts {calls} calls, of at least {max(1, known)}"
        elif 2 * errors >= calls:
            outcome, why = Outcome.INCONCLUSIVE, f"{why}: too few calls to say more"
        rule = f"fail at {limit} errors of {calls} calls, inconclusive below {max(1, known)} calls"
        subject = f"calls of {self._names.function}" + (f" version {self._version}" if self._version else "")
        return Verdict(subject, outcome, rule, why, numbers)

    def _queries(self) -> list[dict[str, Any]]:
        dimensions = {"FunctionName": self._names.function, "Resource": self._names.alias_resource(LIVE)}
        if self._version:
            dimensions["ExecutedVersion"] = self._version
        metric = {
            "Namespace": "AWS/Lambda",
            "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())],
        }
        period = _period_s(self._clock)
        return [
            {
                "Id": name.lower(),
                "Label": name,
                "MetricStat": {"Metric": {**metric, "MetricName": name}, "Period": period, "Stat": "Sum"},
            }
            for name in self._counted
        ]

    def _sums(self) -> dict[str, float]:
        """The sum of each metric; 0 where there are no data."""
        labels = {query["Id"]: query["Label"] for query in self._queries()}
        sums = dict.fromkeys(labels.values(), 0.0)
        states: dict[str, str] = {}
        call: dict[str, Any] = {
            "MetricDataQueries": self._queries(),
            "StartTime": self._since,
            # The period that has begun belongs to the window.
            "EndTime": self._clock.now() + timedelta(seconds=_period_s(self._clock)),
        }
        while True:
            answer = self._cloudwatch.get_metric_data(**call)
            for result in answer["MetricDataResults"]:
                label = labels[result["Id"]]
                states[label] = result.get("StatusCode", "Complete")
                sums[label] += sum(result["Values"])
            if not answer.get("NextToken"):
                break
            call["NextToken"] = answer["NextToken"]
        short = [f"{label}: {states.get(label, 'no answer')}" for label in sums if states.get(label) != "Complete"]
        if short:
            raise _UncountedError(f"GetMetricData did not give all: {', '.join(short)}")
        return sums


class _UncountedError(Exception):
    """CloudWatch answered, but not with all that was asked."""
