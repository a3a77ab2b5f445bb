"""The paired duel: a candidate and the stable version get the same questions, interleaved. Pure.

A block is one question, answered once by the candidate and once by the stable version. While the candidate looks worse
than a sound one, the stable version is asked `controls` times: the fewest questions to the candidate decide then. After
each block the duel is undecided or has an outcome. The first release has no stable version: its failures are compared
with the absolute rates alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from release.analysis.answers import AnswerKind, ProbeAnswer
from release.analysis.differences import Reference, excerpt
from release.analysis.evidence import FaultComparison
from release.analysis.latency import Latency
from release.analysis.verdict import Outcome, Sample, Taken, Verdict
from release.text import one_line

_POINTS: Final = 50
_SHOWN: Final = 5
_NAME: Final = 120
_ALWAYS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class DuelRule:
    """What a duel tolerates, and how surely it decides."""

    sound: float = 0.001
    """Share of questions that a sound release may fail."""
    broken: float = 0.01
    """Share of failures that is to be found ..."""
    worse: float = 3.0
    """... unless the odds of a failure are less than this many times those of the stable version."""
    false_alarms: float = 0.005
    """Share of sound releases that may fail, of all duels of a release together."""
    functions: int = 3
    """How many duels a release has."""
    blamed: float = 0.003
    """Share of candidates that may fail, in one duel, although the stable version fails as often."""
    missed: float = 0.006
    """Share of broken candidates that may pass by their rate; by the odds, and by the last look, half as many more."""
    slower: float = 1.25
    """Ratio of the median times that is tolerated,"""
    too_slow: float = 1.5
    """and the one that is to be found."""
    least_ms: float = 5.0
    """A difference below this is no slowness, whatever the ratio."""
    controls: int = 8
    """Answers of the stable version beside one of the candidate, while the candidate looks broken."""
    budget: int = 3000
    """Questions to the candidate at most."""
    errors_least: int = 20
    """That many answers that are errors, and that share of all, make the duel inconclusive."""
    errors_share: float = 0.025
    may_differ: frozenset[str] = frozenset({"digest", "release", "version", "x-release-digest"})
    """Names of the fields of an answer that differ from release to release."""

    @property
    def alarms(self) -> float:
        """False alarms that failures may raise in one duel: three of five."""
        return self.false_alarms / self.functions * 0.6

    @property
    def side_alarms(self) -> float:
        """False alarms that wrong fields, the median time and the slow end may each raise in one duel."""
        return (self.false_alarms / self.functions - self.alarms) / 3


class Duel:
    """The duel of one function, block after block.

    Args:
        function: The function.
        rule: What is tolerated, and how surely it decides.
        paired: Whether there is a stable version.
    """

    def __init__(self, function: str, rule: DuelRule, *, paired: bool = True) -> None:
        self._function, self._rule, self._paired = function, rule, paired
        rates = {"sound": rule.sound, "broken": rule.broken, "worse": rule.worse, "missed": rule.missed}
        side = rule.side_alarms
        self._failures = FaultComparison(**rates, alarms=rule.alarms, blamed=rule.blamed, paired=paired)
        self._fields = FaultComparison(**rates, alarms=side, blamed=side, paired=paired)
        self._latency = Latency(
            slower=rule.slower, too_slow=rule.too_slow, least_ms=rule.least_ms, alarms=side, missed=rule.missed
        )
        self._references: dict[str, Reference] = {}
        self._blocks = self._answers = self._errors = 0
        self._samples: list[Sample] = []
        self._differing: Counter[str] = Counter()
        self._excerpts: dict[str, str] = {}
        self._course: list[tuple[int, float, float]] = []
        self._every = 1
        self._why = "undecided"
        self.outcome: Outcome | None = None
        """`None` while it is undecided."""

    @property
    def controls(self) -> int:
        """How often the stable version is to be asked the next question."""
        if not self._paired:
            return 0
        return self._rule.controls if self._failures.suspicious or self._fields.suspicious else 1

    def add(self, question: str, candidate: ProbeAnswer, stables: Sequence[ProbeAnswer] = ()) -> Outcome | None:
        """Add one block, and return the outcome if there is one now.

        `stables` are the stable version's answers to the same question; their number was fixed before any answer of the
        block was known. An answer that is an error is left out; without a comparison the block only counts as asked.
        """
        self._blocks += 1
        self._answers += 1 + len(stables)
        kind, usable = candidate.case.kind, [one for one in stables if one.case.kind is not AnswerKind.ERROR]
        self._errors += len(stables) - len(usable) + (kind is AnswerKind.ERROR)
        if kind is not AnswerKind.SUCCESS and len(self._samples) < _SHOWN:
            taken = Taken.UNMEASURED if kind is AnswerKind.ERROR else Taken.WRONG
            said = f"{candidate.case.meaning}: {candidate.said}"
            self._samples.append(Sample(f"{self._function}: {question}", taken, one_line(said, 300), candidate.ms))
        if kind is not AnswerKind.ERROR and (usable or not self._paired):
            failed = [one.case.kind is AnswerKind.FAILURE for one in usable]
            self._failures.add(kind is AnswerKind.FAILURE, failed)
            if usable and kind is AnswerKind.SUCCESS and not failed[0]:
                self._latency.add(candidate.ms, usable[0].ms)
            self._compare(question, candidate, usable)
        if self._blocks % self._every == 0:
            self._note()
        if self.outcome is None:
            self._decide()
        return self.outcome

    def verdict(self) -> Verdict:
        """Return the verdict with all its numbers: `inconclusive` while the duel is undecided."""
        failures, rule = self._failures, self._rule
        numbers = {
            "pairs": failures.asked,
            "stable_asked": failures.stable_asked,
            "failed": failures.failed,
            "stable_failed": failures.stable_failed,
            "only_candidate_failed": failures.only_candidate,
            "only_stable_failed": failures.only_stable,
            "errors": self._errors,
            "latency_ms": self._latency.numbers(),
            "differing": self._most_differing(),
            "evidence": [list(point) for point in self._course],
        }
        also = " and above the stable version" if self._paired else ""
        text = f"fail above {rule.sound:.1%}{also}, pass below {rule.broken:.1%}, at most {rule.budget} questions"
        outcome = self.outcome or Outcome.INCONCLUSIVE
        return Verdict(f"duel of {self._function}", outcome, text, self._why, numbers, tuple(self._samples))

    def _decide(self) -> None:
        failures, fields, latency, rule = self._failures, self._fields, self._latency, self._rule
        # Where the stable version mostly fails, there are no times to compare.
        timed = latency.passing or not self._paired or 2 * len(latency.stable) < failures.asked
        if failures.failing:
            self._end(Outcome.FAIL, self._counts())
        elif fields.failing:
            self._end(Outcome.FAIL, f"{fields.failed} answers differ: {'; '.join(self._most_differing())}")
        elif latency.failing:
            self._end(Outcome.FAIL, f"too slow at the {latency.failing}: {latency.numbers()}")
        elif self._errors >= max(rule.errors_least, rule.errors_share * self._answers):
            self._end(Outcome.INCONCLUSIVE, f"{self._errors} of {self._answers} answers say nothing about the release")
        elif failures.failed == failures.asked >= _ALWAYS:
            self._end(Outcome.INCONCLUSIVE, f"both versions always fail: {self._counts()}")
        elif failures.passing and timed and (fields.passing or not fields.asked):
            self._end(Outcome.PASS, self._counts())
        elif self._blocks >= rule.budget:
            decided = {
                "failures": failures.passing or failures.passes_at_last(),
                "fields": not fields.asked or fields.passing or fields.passes_at_last(),
                "latency": timed,
            }
            undecided = ", ".join(name for name, one in decided.items() if not one)
            why = f"{self._counts()}; undecided after {self._blocks} questions: {undecided or 'nothing'}"
            self._end(Outcome.INCONCLUSIVE if undecided else Outcome.PASS, why)

    def _end(self, outcome: Outcome, why: str) -> None:
        self.outcome, self._why = outcome, why

    def _counts(self) -> str:
        own = self._failures
        stable = f", {own.stable_failed} of {own.stable_asked} of the stable version's" if self._paired else ""
        return f"{own.failed} of {own.asked} failed{stable}"

    def _most_differing(self) -> list[str]:
        return [f"{self._excerpts[name]} ({count} times)" for name, count in self._differing.most_common(_SHOWN)]

    def _note(self) -> None:
        """Keep the course of the evidence, in powers of ten: at most 50 points."""
        ten = math.log(10)
        self._course.append((self._blocks, round(self._failures.rate / ten, 2), round(self._failures.blame / ten, 2)))
        if len(self._course) > _POINTS:
            self._course = self._course[1::2]
            self._every *= 2

    def _compare(self, question: str, candidate: ProbeAnswer, stables: Sequence[ProbeAnswer]) -> None:
        """Compare the fields of all right answers of a block with the stable version's last one before it."""
        right = AnswerKind.SUCCESS
        documents = [one.document for one in stables if one.document is not None and one.case.kind is right]
        reference = self._references.get(question)
        if documents and reference is None:
            self._references[question] = Reference(documents[-1], self._rule.may_differ)
        elif documents and reference is not None:
            own = [candidate.document] if candidate.case.kind is right else []
            alone = reference.alone([*own, *documents])
            found, others = alone[: len(own)], alone[len(own) :]
            for one in found:
                self._fields.add(bool(one), [bool(other) for other in others])
                for path, pair in one.items():
                    name = one_line(f"{question}{path}", _NAME)
                    self._differing[name] += 1
                    self._excerpts.setdefault(name, excerpt(name, *pair))
            reference.learn(documents[-1], (path for one in others for path in one))
