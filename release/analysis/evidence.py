"""Evidence that may be looked at after every answer: tests that stay valid whenever they are stopped. Pure.

Each test multiplies likelihood ratios. Under its null hypothesis the product is a supermartingale that starts at 1, so
it ever reaches 1/alpha with a probability of at most alpha (Ville's inequality, 1939; Ramdas, Gruenwald, Vovk, Shafer,
"Game-theoretic statistics and safe anytime-valid inference", 2023). No number of looks has to be planned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from operator import add

from release.analysis.statistics import chance

WORSE = (3.0, 10.0, 30.0)
"""Odds ratios that evidence against the candidate bets on: few more failures, ten times as many, nearly all of them."""


class RunningEvidence:
    """The mean of the likelihood ratios of several alternatives against one null hypothesis, in logarithms."""

    __slots__ = ("_logs", "_most_added", "highest")

    def __init__(self, alternatives: int) -> None:
        self._most_added = math.log(alternatives)
        self._logs = [-self._most_added] * alternatives
        self.highest = 0.0

    def add(self, steps: Sequence[float]) -> None:
        """Add the logarithm of each alternative's likelihood ratio for one more event."""
        logs = self._logs = list(map(add, self._logs, steps))
        # The sum is looked at only where it can be a new highest one: this runs for every answer.
        if max(logs) + self._most_added > self.highest:
            self.highest = max(self.highest, self.now)

    @property
    def now(self) -> float:
        """The evidence as it stands."""
        most = max(self._logs)
        return most + math.log(sum(math.exp(log - most) for log in self._logs))

    def rejects(self, alpha: float) -> bool:
        """Return whether the null hypothesis was ever rejected at `alpha`."""
        return self.highest >= -math.log(alpha)


@cache
def odds_steps(
    null: float, alternatives: tuple[float, ...], asked: int, failed: int, candidate: bool
) -> tuple[float, ...]:
    """Return the steps for one block of `asked` answers, one of them the candidate's, of which `failed` failed.

    Given their number, the candidate's answer is among the failed ones with probability r f / (r f + n - f), where r is
    the odds ratio of the two versions (Fisher's noncentral hypergeometric distribution with one draw; at r = 1 this is
    f / n, and for pairs McNemar's 1/2). The rates themselves cancel out: they may drift, and an outage that hits both
    versions is no evidence. At r = 1 nothing but exchangeability within a block is assumed. The null hypothesis covers
    all odds on the other side of `null` than the alternatives.
    """

    def log(ratio: float) -> float:
        share = ratio * failed / (ratio * failed + asked - failed)
        return math.log(share if candidate else 1 - share)

    return tuple(log(ratio) - log(null) for ratio in alternatives)


class FaultComparison:
    """Whether the candidate's answers have a fault more often than they may, compared with the stable version's.

    A candidate is sound if its rate is at most `sound`, or if it is no worse than the stable version. Both must be
    rejected to blame it (an intersection-union test, so neither needs a correction):

    - the rate: Wald's sequential ratio test (1945), log LR = k log(p1/p0) + (n - k) log((1 - p1)/(1 - p0)) with
      p0 = `sound` and p1 = `broken`, reaches 1/`alarms`;
    - the odds ratio 1: the mixture over `WORSE` reaches 1/`blamed`.

    It passes when a broken candidate is rejected: the log LR falls to `missed`, or evidence for an odds ratio of 1
    against `worse` reaches 3/`missed`.
    """

    def __init__(
        self, *, sound: float, broken: float, worse: float, alarms: float, blamed: float, missed: float, paired: bool
    ) -> None:
        self._broken, self._worse, self._missed, self._blamed = broken, worse, missed, blamed
        self._up, self._down = math.log(broken / sound), math.log((1 - broken) / (1 - sound))
        self._alarm, self._pass = -math.log(alarms), math.log(missed)
        self.rate = 0.0
        self._exceeds = False
        self._blame = RunningEvidence(len(WORSE)) if paired else None
        self._clear = RunningEvidence(1)
        self.asked = self.failed = self.stable_asked = self.stable_failed = 0
        self.only_candidate = self.only_stable = 0

    def add(self, candidate: bool, stables: Sequence[bool]) -> None:
        """Add one block: whether the candidate's answer, and each of the stable version's, has the fault."""
        asked, failed = 1 + len(stables), candidate + sum(stables)
        self.asked += 1
        self.stable_asked += len(stables)
        self.rate += self._up if candidate else self._down
        if failed:
            self.failed += candidate
            self.stable_failed += failed - candidate
            self._exceeds = self._exceeds or self.rate >= self._alarm
            if self._blame and failed < asked:
                self.only_candidate += candidate and failed == 1
                self.only_stable += not candidate
                self._blame.add(odds_steps(1.0, WORSE, asked, failed, candidate))
                self._clear.add(odds_steps(self._worse, (1.0,), asked, failed, candidate))

    @property
    def blame(self) -> float:
        """The logarithm of the evidence that the candidate is worse than the stable version."""
        return self._blame.now if self._blame else 0.0

    @property
    def suspicious(self) -> bool:
        """Whether the answers so far speak for a broken candidate rather than for a sound one."""
        return self.rate > 0

    @property
    def failing(self) -> bool:
        """Whether the candidate is to blame."""
        return self._exceeds and (self._blame is None or self._blame.rejects(self._blamed))

    @property
    def passing(self) -> bool:
        """Whether a broken candidate is ruled out."""
        return self.rate <= self._pass or self._clear.rejects(self._missed / 3)

    def passes_at_last(self) -> bool:
        """Return whether one last look rules a broken candidate out: so few failures at `broken` are too unlikely.

        It takes a chance of another `missed` / 6, and is for rates between sound and broken, about which the
        sequential test is slow.
        """
        return 1 - chance(self.asked, self.failed + 1, self._broken) <= self._missed / 6
