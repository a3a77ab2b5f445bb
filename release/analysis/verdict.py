"""Verdicts. Pure: samples in, `pass`, `fail` or `inconclusive` out, with the rule and the numbers.

A sample that could not be taken says nothing about the release: it is counted apart, and too many of them make the
verdict inconclusive. Inconclusive is never a pass.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from release.analysis.statistics import percentile

_SHOWN_SAMPLES: Final = 5


class Outcome(StrEnum):
    """What a verdict says."""

    PASS = "pass"  # noqa: S105 -- not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Taken(StrEnum):
    """What one sample showed."""

    RIGHT = "right"
    WRONG = "wrong"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the release: a request, or an alarm."""

    name: str
    taken: Taken
    said: str = ""
    ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with what it rests on."""

    subject: str
    outcome: Outcome
    rule: str
    why: str
    numbers: dict[str, Any] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    """The samples that decided; of right answers only the numbers are kept."""

    @property
    def passed(self) -> bool:
        """Whether the release may go on."""
        return self.outcome is Outcome.PASS

    def noting(self, **numbers: Any) -> Verdict:
        """The same verdict with more to say beside its numbers."""
        return replace(self, numbers={**self.numbers, **numbers})

    def as_dict(self) -> dict[str, Any]:
        """The verdict as it is written into the ledger."""
        return {**asdict(self), "samples": [asdict(sample) for sample in self.samples]}

    def __str__(self) -> str:
        return f"{self.subject}: {self.outcome} ({self.why})"


def analyse(
    subject: str, samples: Sequence[Sample], *, wanted: int, wrong_limit: int, unmeasured_limit: int
) -> Verdict:
    """The verdict over samples, also while they still come in: a limit that is reached decides at once.

    `wanted` samples must have been measured for a pass, at least one.
    """
    wanted = max(1, wanted)
    counts = Counter(sample.taken for sample in samples)
    wrong, unmeasured = counts[Taken.WRONG], counts[Taken.UNMEASURED]
    measured = counts[Taken.RIGHT] + wrong
    times = sorted(sample.ms for sample in samples if sample.taken is not Taken.UNMEASURED)
    numbers: dict[str, Any] = {"wanted": wanted, "measured": measured, "wrong": wrong, "unmeasured": unmeasured}
    if times:
        numbers |= {"median_ms": round(percentile(times, 50), 1), "p99_ms": round(percentile(times, 99), 1)}
    rule = f"fail at {wrong_limit} wrong, inconclusive at {unmeasured_limit} unmeasured or under {wanted} measured"
    telling = tuple(sample for sample in samples if sample.taken is not Taken.RIGHT)[:_SHOWN_SAMPLES]

    def verdict(outcome: Outcome, why: str) -> Verdict:
        return Verdict(subject, outcome, rule, why, numbers, telling)

    def most_frequent(taken: Taken) -> str:
        return Counter(sample.said for sample in samples if sample.taken is taken).most_common(1)[0][0]

    if wrong >= wrong_limit:
        return verdict(Outcome.FAIL, f"{wrong} of {measured} wrong: {most_frequent(Taken.WRONG)}")
    if unmeasured >= unmeasured_limit:
        why = f"{unmeasured} could not be measured: {most_frequent(Taken.UNMEASURED)}"
        return verdict(Outcome.INCONCLUSIVE, why)
    if measured < wanted:
        return verdict(Outcome.INCONCLUSIVE, f"only {measured} of {wanted} measured")
    return verdict(Outcome.PASS, f"{wrong} of {measured} wrong")


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what several verdicts come to: a `fail` wins over everything; no verdict at all proves nothing."""
    order = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
    return min(outcomes, key=order.index, default=Outcome.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class AlarmState:
    """One alarm as CloudWatch describes it."""

    name: str
    state: str
    reason: str = ""
    actions_enabled: bool = True
    age_s: float = math.inf
    """Real seconds since its configuration was last changed."""
    evaluation_s: float = 0.0
    """Length of one full evaluation: its period times its evaluation periods."""


def analyse_alarms(expected: Sequence[str], found: Sequence[AlarmState], scale: float = 1.0) -> Verdict:
    """The verdict over the named alarms as they stand now: one that rings is a `fail`.

    One that is missing or muted proves nothing (`blind` in the numbers). Neither does one that has no state under its
    configuration yet (`waiting`): without data, or changed so lately that it was never wholly evaluated since; what it
    says, OK or ALARM, is of before.

    `scale` is how many times faster than real time the alarms are evaluated.
    """
    by_name = {alarm.name: alarm for alarm in found}
    named = [by_name[name] for name in expected if name in by_name]
    young = [alarm for alarm in named if alarm.age_s * scale < alarm.evaluation_s]
    ringing = [alarm for alarm in named if alarm.state == "ALARM" and alarm not in young]
    without = {
        "missing": sorted(set(expected) - set(by_name)),
        "actions disabled": sorted(alarm.name for alarm in named if not alarm.actions_enabled),
        "no data yet": sorted(alarm.name for alarm in named if alarm.state == "INSUFFICIENT_DATA"),
        "not evaluated since it was changed": sorted(alarm.name for alarm in young),
    }
    numbers = {
        "expected": len(expected),
        "found": len(by_name),
        "ringing": len(ringing),
        "longest_evaluation_s": max((alarm.evaluation_s for alarm in named), default=0.0),
        "blind": len(without["missing"]) + len(without["actions disabled"]) + (0 if expected else 1),
        "waiting": len({*without["no data yet"], *without["not evaluated since it was changed"]}),
    }
    rule = "every named alarm exists, can act, was evaluated as it is configured, and none rings"
    if ringing:
        samples = tuple(Sample(alarm.name, Taken.WRONG, alarm.reason) for alarm in ringing)
        names = ", ".join(alarm.name for alarm in ringing)
        return Verdict("alarms", Outcome.FAIL, rule, f"ringing: {names}", numbers, samples)
    parts = [f"{what}: {', '.join(names)}" for what, names in without.items() if names]
    if not expected:
        parts.append("no alarm is named, so nothing watches")
    if parts:
        return Verdict("alarms", Outcome.INCONCLUSIVE, rule, "; ".join(parts), numbers)
    return Verdict("alarms", Outcome.PASS, rule, f"none of {len(expected)} rings", numbers)
