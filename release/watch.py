"""The watch window: health through the public URL and the named alarms, looked at until the window ends. Fails fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from release.clock import Clock
from release.console import Console
from release.judge import AlarmState, Outcome, Sample, Taken, Verdict, judge, judge_alarms
from release.lifecycle import ReleaseId
from release.probes import what_is_wrong_with_health
from release.settings import Settings

_SAY_EVERY_S: Final = 10.0


def look_at_health(url: str, release: ReleaseId, limit_s: float) -> Sample:
    """One GET of `/health`; `limit_s` is in real seconds."""
    began = time.monotonic()

    def sample(taken: Taken, said: str = "") -> Sample:
        return Sample("health", taken, said, round((time.monotonic() - began) * 1000, 1))

    try:
        answer = httpx.get(url.rstrip("/") + "/health", timeout=limit_s)
    except httpx.TimeoutException:
        return sample(Taken.WRONG, f"no answer within {limit_s:g} s")
    except httpx.HTTPError as error:
        return sample(Taken.UNMEASURED, str(error) or type(error).__name__)
    try:
        body = answer.json()
    except ValueError:
        body = None
    wrong = what_is_wrong_with_health(answer.status_code, body, release)
    return sample(Taken.WRONG if wrong else Taken.RIGHT, wrong)


def right_answers(url: str, release: ReleaseId, settings: Settings, clock: Clock) -> tuple[bool, str]:
    """Wait for `restored_answers` right health answers in a row; `False` and the last complaint if they do not come."""
    began, in_a_row, said = clock.monotonic(), 0, "no answer"
    # Real seconds: the answers are work, not waiting.
    while clock.monotonic() - began < settings.restored_limit_s:
        sample = look_at_health(url, release, settings.answer_limit_s)
        if sample.taken is Taken.RIGHT:
            in_a_row += 1
            if in_a_row >= settings.restored_answers:
                return True, ""
        else:
            in_a_row, said = 0, sample.said
            clock.sleep(0.5)
    return False, said


def alarm_states(alarms: Any, expected: Sequence[str]) -> list[AlarmState]:
    """The named alarms as CloudWatch describes them."""
    if not expected:
        return []
    answer = alarms.describe_alarms(AlarmNames=list(expected), AlarmTypes=["MetricAlarm"], MaxRecords=100)
    return [
        AlarmState(alarm["AlarmName"], alarm["StateValue"], alarm.get("StateReason", ""), alarm["ActionsEnabled"])
        for alarm in answer["MetricAlarms"]
    ]


def look_at_alarms(alarms: Any, expected: Sequence[str]) -> Verdict:
    """The verdict over the alarms as they stand now; CloudWatch not answering is `inconclusive`."""
    try:
        return judge_alarms(expected, alarm_states(alarms, expected))
    except (ClientError, BotoCoreError) as error:
        return Verdict("alarms", Outcome.INCONCLUSIVE, "CloudWatch must answer", str(error))


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What is watched, and how long."""

    url: str
    release: ReleaseId
    alarms: Sequence[str]
    settings: Settings
    clock: Clock
    console: Console

    def until_over(self, cloudwatch: Any, one_run: Callable[[], Sample]) -> list[Verdict]:
        """Watch until the window ends or a verdict does not pass; the release goes on only if all of them do.

        Args:
            cloudwatch: The CloudWatch client.
            one_run: Runs the schedule's function once through `live`, so that its errors show within the window.
        """
        settings, clock, began = self.settings, self.clock, self.clock.monotonic()
        run = judge("one run of the schedule through live", [one_run()], wanted=1, wrong_limit=1, unmeasured_limit=1)
        if not run.passed:
            return [run]
        samples: list[Sample] = []
        settled, blind, spoke = False, 0, clock.monotonic()
        while True:
            sample = look_at_health(self.url, self.release, settings.answer_limit_s)
            settled = settled or sample.taken is Taken.RIGHT
            # Right after the move the previous release may answer for a moment: that is AWS, not the new release.
            another = sample.taken is Taken.WRONG and "another release answers" in sample.said
            if settled or not another or clock.elapsed(began) > settings.settle_s:
                samples.append(sample)
            health = self._health(samples)
            alarms = look_at_alarms(cloudwatch, self.alarms)
            blind = blind + 1 if alarms.outcome is Outcome.INCONCLUSIVE else 0
            decided = (
                Outcome.FAIL in (health.outcome, alarms.outcome)
                or "could not be measured" in health.why
                or blind >= settings.watch_unmeasured_limit
            )
            # Looks that could not be taken at the end prolong the window until they can, or there are too many.
            seen = blind == 0 and bool(samples) and samples[-1].taken is not Taken.UNMEASURED
            if decided or (seen and clock.elapsed(began) >= settings.watch_s):
                return [run, health, alarms]
            if clock.monotonic() - spoke > _SAY_EVERY_S / max(1.0, clock.scale / 4):
                spoke = clock.monotonic()
                left = max(0.0, settings.watch_s - clock.elapsed(began))
                self.console.detail(f"{left:.0f} s left; health: {health.why}; alarms: {alarms.why}")
            clock.sleep(settings.watch_poll_s)

    def _health(self, samples: Sequence[Sample]) -> Verdict:
        """Wrong answers count over the whole window, unmeasured ones only in a row: the path to the URL is not ours."""
        in_a_row = 0
        for sample in reversed(samples):
            if sample.taken is not Taken.UNMEASURED:
                break
            in_a_row += 1
        measured = [sample for sample in samples if sample.taken is not Taken.UNMEASURED]
        return judge(
            "health through live",
            [*measured, *samples[len(samples) - in_a_row :]],
            wanted=1,
            wrong_limit=self.settings.watch_health_limit,
            unmeasured_limit=self.settings.watch_unmeasured_limit,
        )
