"""The times of a candidate and the stable version, compared pair by pair. Pure."""

from __future__ import annotations

from typing import Any, Final

from release.analysis.evidence import WORSE, RunningEvidence, odds_steps
from release.analysis.statistics import percentile

_TAIL: Final = 95
_TIMED_FOR_TAIL: Final = 100
_SLOWER: Final = (1.5, 3.0, 10.0)
_FASTER: Final = tuple(1 / odds for odds in _SLOWER)


class Latency:
    """Two tests of the median and one of the slow end, over pairs of right answers.

    The candidate is too slow when a sign test rejects "it takes more than `slower` times the stable version's time in
    at most half of the pairs", and fast enough when one rejects "it takes more than `too_slow` times that in at least
    half of the pairs". A difference of less than `least_ms` (at `slower`; in proportion at `too_slow`) is none. The
    slow end is what takes longer than the 95th percentile of the stable version's earlier times, the candidate's
    divided by `slower`: McNemar's test.
    """

    def __init__(self, *, slower: float, too_slow: float, least_ms: float, alarms: float, missed: float) -> None:
        self._slower, self._too_slow, self._least = slower, too_slow, least_ms
        self._least_too_slow = least_ms * (too_slow - 1) / (slower - 1)
        self._alarms, self._missed = alarms, missed
        self._slow, self._fast, self._tail = (
            RunningEvidence(len(_SLOWER)),
            RunningEvidence(len(_FASTER)),
            RunningEvidence(len(WORSE)),
        )
        self._tail_from = 0.0
        self.candidate: list[float] = []
        self.stable: list[float] = []
        self.failing = ""
        """What is too slow; empty when nothing is."""
        self.passing = False
        """Whether the median is ruled out to be too slow."""

    def add(self, candidate: float, stable: float) -> None:
        """Add the times of one pair, in milliseconds."""
        slow = candidate > max(stable * self._slower, stable + self._least)
        too_slow = slow and candidate > max(stable * self._too_slow, stable + self._least_too_slow)
        self._slow.add(odds_steps(1.0, _SLOWER, 2, 1, slow))
        if slow and self._slow.rejects(self._alarms):
            self.failing = "median"
        if not self.passing:
            self._fast.add(odds_steps(1.0, _FASTER, 2, 1, too_slow))
            self.passing = self._fast.rejects(self._missed)
        if self._tail_from:
            late = candidate / self._slower > self._tail_from
            if late != (stable > self._tail_from):
                self._tail.add(odds_steps(1.0, WORSE, 2, 1, late))
                if late and self._tail.rejects(self._alarms):
                    self.failing = f"{_TAIL}th percentile"
        self.stable.append(stable)
        self.candidate.append(candidate)
        if len(self.stable) % _TIMED_FOR_TAIL == 0:
            self._tail_from = percentile(sorted(self.stable), _TAIL) + self._least

    def numbers(self) -> dict[str, Any]:
        """Return the quantiles of both versions, in milliseconds."""
        both = {"candidate": sorted(self.candidate), "stable": sorted(self.stable)}
        return {
            name: {f"p{percent}": round(percentile(times, percent), 1) for percent in (50, _TAIL, 99)}
            for name, times in both.items()
            if times
        }
