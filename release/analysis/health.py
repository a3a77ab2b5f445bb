"""Health through the URL that people call: who answers, how, and how late.

By the table of answers (answers.py): an answer that does not prove which release gave it says nothing about one. What
Lambda makes of such a call is in its counts (counts.py).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import httpx

from release.analysis.answers import case_of_http
from release.analysis.probes import TAKEN, what_is_wrong_with_health
from release.analysis.statistics import limit_for
from release.analysis.verdict import Outcome, Sample, Taken, Verdict, analyse
from release.analysis.watch import Watcher
from release.clock import Clock
from release.ledger.lifecycle import ReleaseId
from release.settings import METRIC_PERIOD_S, ReleaseSettings

_FALSE_ALARMS: Final = 0.001
"""Share of sound releases that one look may call broken, by failures and by lateness each."""
_LATE_SHARE: Final = 0.05
"""Share of the answers of a sound release that may be late: environments start while it takes traffic."""


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
        case = case_of_http(self.status, self.digest, release.digest, wrong)
        return Sample("health", TAKEN[case.kind], wrong, self.ms)


def get_health(url: str, limit_s: float) -> HealthAnswer:
    """One GET of `/health`, waiting `limit_s` real seconds. That no answer comes says nothing of the release."""
    began = time.monotonic()

    def took() -> float:
        return round((time.monotonic() - began) * 1000, 1)

    try:
        answer = httpx.get(url.rstrip("/") + "/health", timeout=limit_s)
    except httpx.HTTPError as error:
        said = f"no answer: {str(error) or type(error).__name__}"
        return HealthAnswer(took(), problem=Sample("health", Taken.UNMEASURED, said, took()))
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


class Health(Watcher):
    """Health answers of a release that takes traffic, all of it or, beside the `stable` one, a part.

    Failures and late answers count over the whole window, errors only in a row: the path to the URL is not the
    release's, and an answer that comes again forgives those that did not.

    Args:
        url: The URL.
        release: The release that is watched.
        settings: The limits.
        clock: The clock.
        stable: The release that answers beside it; `None`: everybody must meet the new one.
    """

    def __init__(
        self, url: str, release: ReleaseId, settings: ReleaseSettings, clock: Clock, stable: ReleaseId | None = None
    ) -> None:
        # In the first minute so often that the new release answers some, and the counts can be compared with them.
        self._wanted = settings.weighted_requests if stable else 1
        self._at_once = math.ceil(self._wanted * settings.watch_poll_s / METRIC_PERIOD_S)
        super().__init__(settings.watch_unmeasured_limit * self._at_once)
        self._url, self._release, self._stable, self._settings, self._clock = url, release, stable, settings, clock
        self._began = clock.monotonic()
        self._settled = False
        self._measured: list[Sample] = []
        self._errors: list[Sample] = []
        self._asked = self._of_stable = 0
        self.answered: list[datetime] = []
        """When the new release has answered."""

    def take(self) -> None:
        """Ask: at first several times, where the stable release answers too, and then once."""
        for _ in range(self._at_once if self._asked < self._wanted else 1):
            # Whoever waits longer is gone; until then a late answer still says who gave it, and what.
            self._add(get_health(self._url, 4 * self._settings.answer_limit_s))

    @property
    def silent(self) -> int:
        """Requests in a row, until now, whose answer says nothing."""
        return len(self._errors)

    @property
    def done(self) -> bool:
        """Whether enough was asked, and the last request was answered."""
        return self._asked >= self._wanted and bool(self._measured or self._of_stable) and not self.silent

    def verdict(self) -> Verdict:
        """Return the verdict over the answers; some of the new release must be among them."""
        settings, measured = self._settings, len(self._measured)
        late = sum(sample.ms > settings.answer_limit_s * 1000 for sample in self._measured)
        late_limit = limit_for(measured, _LATE_SHARE, _FALSE_ALARMS, least=2)
        verdict = analyse(
            "health at 10 %" if self._stable else "health through live",
            [*self._measured, *self._errors],
            wanted=1,
            wrong_limit=limit_for(measured, settings.sound_rate, _FALSE_ALARMS, least=2),
            unmeasured_limit=self.silent_limit,
        ).noting(late=late, asked=self._asked, of_new=len(self.answered), of_stable=self._of_stable)
        if verdict.outcome is Outcome.FAIL:
            return verdict
        if late >= late_limit:
            why = f"{late} of {measured} answers took more than {settings.answer_limit_s:g} s"
            return replace(verdict, outcome=Outcome.FAIL, why=why)
        if not (self.answered or self.given_up):
            why = f"none of {self._asked} requests met the new release"
            return replace(verdict, outcome=Outcome.INCONCLUSIVE, why=why)
        return verdict

    def _add(self, answer: HealthAnswer) -> None:
        self._asked += 1
        sample = answer.sample(self._release)
        if self._stable and answer.digest == self._stable.digest:
            self._of_stable += 1
            of_stable = answer.sample(self._stable)
            if of_stable.taken is not Taken.WRONG:
                self._errors.clear()
                self._settled = True
                return
            # The new release may have hurt what both use.
            sample = replace(of_stable, said=f"the stable release: {of_stable.said}")
        elif self._settling(answer, sample):
            return
        if sample.taken is Taken.UNMEASURED:
            self._errors.append(sample)
            return
        self._errors.clear()
        self._measured.append(sample)
        if answer.digest == self._release.digest:
            self.answered.append(self._clock.now())

    def _settling(self, answer: HealthAnswer, sample: Sample) -> bool:
        """Whether AWS may still answer as before: an alias that has moved, a URL or a permission that is new."""
        self._settled = self._settled or sample.taken is Taken.RIGHT
        others = sample.taken is Taken.UNMEASURED or answer.digest != self._release.digest
        return others and not self._settled and self._clock.elapsed(self._began) <= self._settings.settle_s
