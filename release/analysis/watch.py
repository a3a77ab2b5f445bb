"""Watching a release take traffic: health through the URL, the alarms, CloudWatch's counts. Fails fast.

A watch looks again and again until its window ends. Each kind of look knows on its own what it has seen (a verdict),
whether its last look could be taken, and when too many in a row could not.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from components.naming import LIVE, FunctionNames
from release.analysis.probes import what_is_wrong_with_health
from release.analysis.verdict import AlarmState, Outcome, Sample, Taken, Verdict, analyse, analyse_alarms, worst
from release.clock import Clock
from release.console import Console
from release.ledger.lifecycle import ReleaseId
from release.settings import ReleaseSettings

_SAY_EVERY_S: Final = 10.0
_ALARMS_AT_ONCE: Final = 100
"""Most names that DescribeAlarms takes."""
_METRIC_PERIOD_S: Final = 60
"""Lambda sends its metrics to CloudWatch every minute."""


# Health


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """What one GET of `/health` brought: an answer, or `problem`."""

    ms: float
    status: int = 0
    body: Any = None
    problem: Sample | None = None

    @property
    def digest(self) -> str:
        """Digest of the release that answered; empty if the answer names none."""
        return str(self.body.get("digest") or "") if isinstance(self.body, dict) else ""

    def sample(self, release: ReleaseId) -> Sample:
        """Return what the answer says about `release`."""
        if self.problem:
            return self.problem
        wrong = what_is_wrong_with_health(self.status, self.body, release)
        return Sample("health", Taken.WRONG if wrong else Taken.RIGHT, wrong, self.ms)


def get_health(url: str, limit_s: float) -> HealthAnswer:
    """One GET of `/health`; `limit_s` is in real seconds. An answer that does not come in time is wrong."""
    began = time.monotonic()

    def took() -> float:
        return round((time.monotonic() - began) * 1000, 1)

    def without(taken: Taken, said: str) -> HealthAnswer:
        return HealthAnswer(took(), problem=Sample("health", taken, said, took()))

    try:
        answer = httpx.get(url.rstrip("/") + "/health", timeout=limit_s)
    except httpx.TimeoutException:
        return without(Taken.WRONG, f"no answer within {limit_s:g} s")
    except httpx.HTTPError as error:
        return without(Taken.UNMEASURED, str(error) or type(error).__name__)
    try:
        body = answer.json()
    except ValueError:
        body = None
    return HealthAnswer(took(), answer.status_code, body)


def await_health(url: str, release: ReleaseId, settings: ReleaseSettings, clock: Clock) -> str:
    """Wait for `restored_answers` right health answers in a row; return the last complaint if they do not come."""
    began, in_a_row, complaint = clock.monotonic(), 0, "no answer"
    # Real seconds: the answers are work, not waiting.
    while clock.monotonic() - began < settings.restored_limit_s:
        sample = get_health(url, settings.answer_limit_s).sample(release)
        if sample.taken is Taken.RIGHT:
            in_a_row += 1
            if in_a_row >= settings.restored_answers:
                return ""
        else:
            in_a_row, complaint = 0, sample.said
            clock.sleep(0.5)
    return complaint


# Alarms


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
    return alarm.get("Period") or max(inner, default=0) or _METRIC_PERIOD_S


def look_at_alarms(alarms: Any, expected: Sequence[str], clock: Clock) -> Verdict:
    """The verdict over the alarms as they stand now; CloudWatch not answering is `inconclusive`."""
    try:
        return analyse_alarms(expected, alarm_states(alarms, expected, clock.now()), clock.scale)
    except (ClientError, BotoCoreError) as error:
        return Verdict("alarms", Outcome.INCONCLUSIVE, "CloudWatch must answer", str(error))


# Looking again and again


class Watcher(ABC):
    """One kind of look at a release, taken again and again.

    `silent_limit` looks in a row that could not be taken are too many.
    """

    silent = 0
    """Looks in a row, until now, that could not be taken."""

    def __init__(self, silent_limit: int) -> None:
        self.silent_limit = silent_limit

    @abstractmethod
    def take(self) -> None:
        """Look once."""

    @abstractmethod
    def verdict(self) -> Verdict:
        """Return what all looks so far say."""

    @property
    def done(self) -> bool:
        """Whether the window may end, as far as this look knows: the last could be taken, and there were enough."""
        return self.silent == 0

    @property
    def given_up(self) -> bool:
        """Whether too many looks in a row could not be taken."""
        return self.silent >= self.silent_limit


class _Health(Watcher):
    """Health answers: wrong ones count over the whole window, unmeasured ones only in a row.

    The path to the URL is not the release's: an answer that comes again forgives those that did not.
    """

    def __init__(
        self, subject: str, url: str, release: ReleaseId, settings: ReleaseSettings, silent_limit: int
    ) -> None:
        super().__init__(silent_limit)
        self._subject, self._url, self._release, self._settings = subject, url, release, settings
        self._measured: list[Sample] = []
        self._unmeasured: list[Sample] = []

    @property
    def silent(self) -> int:
        return len(self._unmeasured)

    def _ask(self) -> HealthAnswer:
        return get_health(self._url, self._settings.answer_limit_s)

    def _add(self, sample: Sample) -> None:
        if sample.taken is Taken.UNMEASURED:
            self._unmeasured.append(sample)
        else:
            self._unmeasured.clear()
            self._measured.append(sample)

    def verdict(self) -> Verdict:
        """Return the verdict over the answers."""
        limit = self._settings.watch_health_limit
        samples = [*self._measured, *self._unmeasured]
        return analyse(self._subject, samples, wanted=1, wrong_limit=limit, unmeasured_limit=self.silent_limit)


class LiveHealth(_Health):
    """Health at 100 %: everybody who asks must meet the new release."""

    def __init__(self, url: str, release: ReleaseId, settings: ReleaseSettings, clock: Clock) -> None:
        super().__init__("health through live", url, release, settings, settings.watch_unmeasured_limit)
        self._clock = clock
        self._began = clock.monotonic()
        self._settled = False

    def take(self) -> None:
        """Ask once."""
        answer = self._ask()
        sample = answer.sample(self._release)
        self._settled = self._settled or sample.taken is Taken.RIGHT
        # Right after the move the previous release may answer for a moment: that is AWS, not the new release.
        another = bool(answer.digest) and answer.digest != self._release.digest
        if self._settled or not another or self._clock.elapsed(self._began) > self._settings.settle_s:
            self._add(sample)

    @property
    def done(self) -> bool:
        """Whether the last request was answered."""
        return bool(self._measured) and not self.silent


class CanaryHealth(_Health):
    """Health at 10 %: the stable release may answer too; what the new one answers counts, and what nobody signs."""

    def __init__(self, url: str, release: ReleaseId, stable: ReleaseId, settings: ReleaseSettings) -> None:
        looks = max(1.0, settings.watch_s / settings.watch_poll_s)
        self._at_once = math.ceil(settings.weighted_requests / looks)
        silent_requests = settings.watch_unmeasured_limit * self._at_once
        super().__init__("health at 10 %", url, release, settings, silent_requests)
        self._stable = stable
        self._asked = self._of_new = self._of_stable = 0

    def take(self) -> None:
        """Ask so often that the window makes `weighted_requests`; if fewer looks fit into it, it gets longer."""
        for _ in range(self._at_once):
            answer = self._ask()
            self._asked += 1
            self._of_new += answer.digest == self._release.digest
            if answer.digest != self._stable.digest:
                self._add(answer.sample(self._release))
                continue
            self._of_stable += 1
            sample = answer.sample(self._stable)
            if sample.taken is Taken.RIGHT:
                self._unmeasured.clear()
            else:  # the new release may have hurt what both use
                self._add(replace(sample, said=f"the stable release: {sample.said}"))

    def verdict(self) -> Verdict:
        """At least one answer of the new release must have been measured, and too few may be wrong."""
        verdict = super().verdict().noting(asked=self._asked, of_new=self._of_new, of_stable=self._of_stable)
        if verdict.outcome is Outcome.FAIL or self._of_new or self.given_up:
            return verdict
        why = f"none of {self._asked} requests met the new release"
        return replace(verdict, outcome=Outcome.INCONCLUSIVE, why=why)

    @property
    def done(self) -> bool:
        """Whether enough was asked, and the last request was answered."""
        return self._asked >= self._settings.weighted_requests and not self.silent


class AlarmWatch(Watcher):
    """The alarms that decide over releases."""

    def __init__(self, cloudwatch: Any, names: Sequence[str], settings: ReleaseSettings, clock: Clock) -> None:
        super().__init__(settings.watch_unmeasured_limit)
        self._cloudwatch, self._names, self._clock = cloudwatch, names, clock
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


class VersionCounts(Watcher):
    """Calls of `live` that one version of a function answered, and how many of them failed, as CloudWatch counts them.

    Absolute: no alarm can carry the dimension of a version that did not exist when the alarm was made. Calls through an
    alias carry the version that ran as dimension ExecutedVersion beside FunctionName and Resource (function:alias), and
    metrics come every minute with the time of the call: Lambda developer guide, "Using CloudWatch metrics with Lambda".
    """

    def __init__(
        self,
        cloudwatch: Any,
        names: FunctionNames,
        version: str,
        settings: ReleaseSettings,
        clock: Clock,
        *,
        since: datetime,
    ) -> None:
        super().__init__(settings.weighted_unmeasured_limit)
        self._cloudwatch, self._names, self._version, self._clock = cloudwatch, names, version, clock
        self._errors_limit = settings.weighted_errors_limit
        self._since = since.replace(second=0, microsecond=0)
        self._complaint = ""
        self._counted: dict[str, float | None] = {"Invocations": None, "Errors": None}

    def take(self) -> None:
        """Count since `since`, to the minute."""
        try:
            self._counted = _sums(self._cloudwatch, self._queries(), self._since, self._clock.now())
        except (ClientError, BotoCoreError, _UncountedError) as error:
            self.silent, self._complaint = self.silent + 1, str(error)
        else:
            self.silent = 0

    def verdict(self) -> Verdict:
        """Return the errors of the new version; that there are no data is no error, but it is told."""
        invocations, errors = self._counted["Invocations"], self._counted["Errors"]
        rule = (
            f"fail at {self._errors_limit} errors, inconclusive at {self.silent_limit} looks in a row without an answer"
        )
        numbers = {
            "version": self._version,
            "invocations": int(invocations or 0),
            "errors": int(errors or 0),
            "looks_without_answer": self.silent,
        }
        outcome, why = Outcome.PASS, f"{errors or 0:g} of {invocations or 0:g} failed"
        if invocations is None and errors is None:
            why = "no data"
        if (errors or 0) >= self._errors_limit:
            outcome = Outcome.FAIL
        elif self.silent:
            outcome, why = Outcome.INCONCLUSIVE, f"could not be counted: {self._complaint}"
        return Verdict(f"calls of {self._names.function} version {self._version}", outcome, rule, why, numbers)

    def _queries(self) -> list[dict[str, Any]]:
        dimensions = {
            "ExecutedVersion": self._version,
            "FunctionName": self._names.function,
            "Resource": self._names.alias_resource(LIVE),
        }
        metric = {
            "Namespace": "AWS/Lambda",
            "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())],
        }
        return [
            {
                "Id": name.lower(),
                "Label": name,
                "MetricStat": {"Metric": {**metric, "MetricName": name}, "Period": _METRIC_PERIOD_S, "Stat": "Sum"},
            }
            for name in self._counted
        ]


class _UncountedError(Exception):
    """CloudWatch answered, but not with all that was asked."""


def _sums(cloudwatch: Any, queries: list[dict[str, Any]], since: datetime, now: datetime) -> dict[str, float | None]:
    """The sum of each query by its label; `None` where there are no data."""
    labels = {query["Id"]: query["Label"] for query in queries}
    sums: dict[str, float | None] = dict.fromkeys(labels.values())
    states: dict[str, str] = {}
    call: dict[str, Any] = {
        "MetricDataQueries": queries,
        "StartTime": since,
        # The minute that has begun belongs to the window.
        "EndTime": now + timedelta(seconds=_METRIC_PERIOD_S),
    }
    while True:
        answer = cloudwatch.get_metric_data(**call)
        for result in answer["MetricDataResults"]:
            label = labels[result["Id"]]
            states[label] = result.get("StatusCode", "Complete")
            if result["Values"]:
                sums[label] = (sums[label] or 0) + sum(result["Values"])
        if not answer.get("NextToken"):
            break
        call["NextToken"] = answer["NextToken"]
    short = [f"{label}: {states.get(label, 'no answer')}" for label in sums if states.get(label) != "Complete"]
    if short:
        raise _UncountedError(f"GetMetricData did not give all: {', '.join(short)}")
    return sums


def watch(
    looks: Sequence[Watcher],
    seconds: float,
    settings: ReleaseSettings,
    clock: Clock,
    console: Console,
    *,
    patient: bool = False,
    between: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """Look until `seconds` (of the clock) are over; the verdict of each look. `between` is called before all looks.

    A `fail` ends it at once. So does a look that could not be taken too often in a row (its verdict is then the first),
    unless the watch is `patient`: then the others are looked at to the end. A look that could not be taken at the end,
    but not yet too often, prolongs it.
    """
    began = spoke = clock.monotonic()
    while True:
        between()
        for look in looks:
            look.take()
        given_up = [look for look in looks if look.given_up]
        verdicts = [look.verdict() for look in sorted(looks, key=lambda look: not look.given_up)]
        failed = worst(verdict.outcome for verdict in verdicts) is Outcome.FAIL
        over = clock.elapsed(began) >= seconds and all(look.done or look.given_up for look in looks)
        if failed or over or (given_up and not patient):
            return verdicts
        if clock.monotonic() - spoke > _SAY_EVERY_S / max(1.0, clock.scale / 4):
            spoke = clock.monotonic()
            left = max(0.0, seconds - clock.elapsed(began))
            told = "; ".join(f"{verdict.subject}: {verdict.why}" for verdict in verdicts)
            console.detail(f"{left:.0f} s left; {told}")
        clock.sleep(settings.watch_poll_s)
