"""How surely a broken release is found, and how often a sound one is blamed: `make bench`, docs/figures/detection.md.

Three parts. The sample of today's canary: the exact chance of the verdict `fail` (binomial distribution) and, in
brackets, the share that the releaser's own code fails. The paired duel (release/analysis/duel.py): its own code, fed
block by block with answers of a seeded generator. Beside it the rules of others, with as many questions as a sample:
Kayenta's Mann-Whitney test and a two-proportion test of a fixed size, both by scipy (`uv sync --group bench`; without
it they are left out). And the watch: what the rules of the windows at 10 % and 100 % find of what the duel let pass.
Measures only; the bounds are tests/unit/release/test_detection.py and test_duel_simulated.py.
"""

import argparse
import os
import platform
import random
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.metadata import version
from multiprocessing import Pool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from components.service.functions import FUNCTIONS, FunctionSpec, Trigger  # noqa: E402
from release.analysis.answers import AnswerCase, ProbeAnswer  # noqa: E402
from release.analysis.counts import Counts  # noqa: E402
from release.analysis.duel import Duel, DuelRule  # noqa: E402
from release.analysis.statistics import chance, limit_for  # noqa: E402
from release.analysis.verdict import Outcome, Sample, Taken, analyse  # noqa: E402
from release.clock import Clock  # noqa: E402
from release.settings import ReleaseSettings  # noqa: E402

SIZES = (50, 200, 800, 3200)
ERROR_RATES = (0.0, 0.001, 0.01, 0.05, 0.2, 1.0)
RUNS = 1000
DUELS = 250
SEED = 20261123
_RIGHT, _WRONG = Sample("request", Taken.RIGHT, ms=25.0), Sample("request", Taken.WRONG, "answered 502", 25.0)


# The sample that the canary took before the duel: of the functions with a URL alone

SAMPLE = 800
BASE_RATE, FALSE_ALARMS = 0.001, 0.01


def error_limit(size: int) -> int:
    """The errors that failed a sample: the fewest that hardly any sound release reaches."""
    return limit_for(size, BASE_RATE, FALSE_ALARMS)


def exact(size: int, error_rate: float) -> float:
    """The chance that a sample of this size fails a release whose requests fail at this rate."""
    return chance(size, error_limit(size), error_rate)


def measured(size: int, error_rate: float, runs: int = RUNS, seed: int = SEED) -> float:
    """The share of `runs` releases that the verdict code fails."""
    drawn, limit = random.Random(f"{seed} {size} {error_rate}"), error_limit(size)
    failed = 0
    for _ in range(runs):
        samples = [_WRONG if drawn.random() < error_rate else _RIGHT for _ in range(size)]
        verdict = analyse("sample", samples, wanted=size, wrong_limit=limit, unmeasured_limit=size)
        failed += verdict.outcome is Outcome.FAIL
    return failed / runs


def percent(share: float) -> str:
    """A share as people read it: never rounded to certainty."""
    if 0 < share < 0.0001:
        return "< 0.01%"
    return "> 99.99%" if 0.9999 < share < 1 else f"{share:.2%}"


# The paired duel

MEDIAN_MS = 40.0
POOL = 4096
"""Answers drawn once for each kind of version, from which a run draws: making each anew would take the time."""


@dataclass(frozen=True, kw_only=True)
class World:
    """One stable version and one candidate."""

    name: str
    stable: float = 0.001
    """Share of the stable version's answers that are failures."""
    candidate: float = 0.001
    slower: float = 1.0
    """Times of the candidate, as a multiple of the stable version's."""
    slow_end: float = 0.0
    """Share of the candidate's answers that take three times as long."""
    spread: float = 0.3
    """Standard deviation of the logarithm of the times."""
    errors: float = 0.0
    """Share of both versions' answers that are errors of AWS."""
    fields: str = ""
    """`alive`: answers in which a field always changes and a list sometimes; `wrong`: one field of it is wrong, too."""
    wrong_share: float = 1.0
    first: bool = False
    """Whether there is no stable version."""


RATES = [World(name=f"errors {rate * 100:g} %", stable=min(rate, 0.001), candidate=rate) for rate in ERROR_RATES]
WORLDS = (
    *RATES,
    World(name="both 1 %", stable=0.01, candidate=0.01),
    World(name="both 5 %", stable=0.05, candidate=0.05),
    World(name="both 20 %", stable=0.2, candidate=0.2),
    World(name="stable 5 %, candidate 15 %", stable=0.05, candidate=0.15),
    World(name="stable 5 %, candidate 0 % (a fix)", stable=0.05, candidate=0.0),
    World(name="median +50 %", slower=1.5),
    World(name="median +200 %", slower=3.0),
    World(name="one wrong field", fields="wrong"),
    World(name="first release, errors 0 %", candidate=0.0, first=True),
    World(name="first release, errors 0.1 %", candidate=0.001, first=True),
    World(name="first release, errors 1 %", candidate=0.01, first=True),
    World(name="first release, errors 5 %", candidate=0.05, first=True),
    World(name="fields that change on their own", fields="alive"),
    World(name="median +20 %", slower=1.2),
    World(name="median +0, twice the spread", spread=0.6),
    World(name="median +50 %, twice the spread", slower=1.5, spread=0.6),
    World(name="1 of 10 answers three times as slow", slow_end=0.1),
    World(name="errors of AWS 1 %", errors=0.01),
    World(name="errors of AWS 10 %", errors=0.1),
    World(name="one wrong field in 2 % of answers", fields="wrong", wrong_share=0.02),
    World(name="both 0.3 %", stable=0.003, candidate=0.003),
)
_FAILED, _NO_ANSWER = (
    ProbeAnswer(AnswerCase.RAISED, "KeyError", 30.0),
    ProbeAnswer(AnswerCase.REFUSED, "TooManyRequestsException"),
)


class _Version:
    """A version of a function that answers at random."""

    def __init__(self, world: World, drawn: random.Random, *, candidate: bool) -> None:
        self._world, self._drawn, self._candidate = world, drawn, candidate
        self._failures = world.candidate if candidate else world.stable
        slower, slow_end = (world.slower, world.slow_end) if candidate else (1.0, 0.0)
        self._pool = [
            ProbeAnswer(AnswerCase.RIGHT, "", MEDIAN_MS * slower * (3 if drawn.random() < slow_end else 1) * spread)
            for spread in (drawn.lognormvariate(0, world.spread) for _ in range(POOL))
        ]

    def answers(self, count: int, asked: int) -> list[ProbeAnswer]:
        drawn = self._drawn.random
        first = int(drawn() * (POOL - count))
        answers = self._pool[first : first + count]
        if self._world.fields:
            answers = [replace(answer, document=self._document(asked)) for answer in answers]
        for wrong, share in ((_FAILED, self._failures), (_NO_ANSWER, self._world.errors)):
            if share:
                answers = [wrong if drawn() < share else answer for answer in answers]
        return answers

    def _document(self, asked: int) -> dict[str, Any]:
        drawn = self._drawn.random
        # The list gets a new item at each four hundredth question; one of five answers to it misses the item.
        newest = asked // 400 - (asked % 400 == 0 and drawn() < 0.2)
        wrong = self._candidate and self._world.fields == "wrong" and drawn() < self._world.wrong_share
        items = [{"id": newest - back, "sentiment": "positive", "score": 0.5} for back in range(3)]
        return {
            "digest": "new" if self._candidate else "old",
            "now": drawn(),
            "items": items,
            "next": "page" if wrong else None,
        }


def duels(world: World, runs: int, seed: int) -> Iterator[tuple[Outcome, int, int]]:
    """Outcome, questions to the candidate, questions to the stable version, of each of `runs` duels."""
    drawn = random.Random(f"{SEED} {world.name} {seed}")
    candidate, stable = (_Version(world, drawn, candidate=one) for one in (True, False))
    for _ in range(runs):
        duel, asked, controls = Duel("function", DuelRule(), paired=not world.first), 0, 0
        while duel.outcome is None:
            asked, more = asked + 1, duel.controls
            controls += more
            duel.add("question", *candidate.answers(1, asked), stable.answers(more, asked))
        yield duel.outcome, asked, controls


def _duels(job: tuple[World, int, int]) -> list[tuple[Outcome, int, int]]:
    return list(duels(*job))


# The rules of others, with 800 questions to each version


def _oracle() -> Any:
    try:
        return import_module("scipy.stats"), import_module("numpy")
    except ImportError:
        return None


def mann_whitney(world: World, runs: int) -> float | None:
    """The share that Kayenta's judge blames: 50 points of each version, one-sided at the 98 % of its two-sided test.

    A point is the share of failures, or the mean time, of 16 answers. Kayenta's tolerance of the effect is left out: it
    only finds less.
    """
    if (oracle := _oracle()) is None or world.fields or world.errors or world.first:
        return None
    stats, numpy = oracle
    drawn = numpy.random.default_rng(SEED)
    if world.candidate == world.stable == 0.001:
        times = [numpy.full((runs, 50), 0.0), numpy.full((runs, 50), 0.0)]
        for _ in range(16):
            times[0] += drawn.lognormal(0, world.spread, (runs, 50)) * (
                world.slower * numpy.where(drawn.random((runs, 50)) < world.slow_end, 3, 1)
            )
            times[1] += drawn.lognormal(0, world.spread, (runs, 50))
        by_time = stats.mannwhitneyu(*times, alternative="greater", axis=1, method="asymptotic").pvalue < 0.01
    else:
        by_time = numpy.zeros(runs, bool)
    shares = (drawn.binomial(16, rate, (runs, 50)) for rate in (world.candidate, world.stable))
    with numpy.errstate(all="ignore"):
        by_rate = stats.mannwhitneyu(*shares, alternative="greater", axis=1, method="asymptotic").pvalue < 0.01
    return float((by_time | by_rate).mean())


@cache
def _two_proportions(candidate: int, stable: int, size: int) -> bool:
    oracle = _oracle()
    if oracle is None or candidate <= stable:
        return False
    table = [[candidate, size - candidate], [stable, size - stable]]
    # Two-sided at 1 % and only above: one-sided at 0.5 %.
    if candidate + stable == 2 * size:
        return False
    return oracle[0].chi2_contingency(table, correction=False).pvalue < 0.01


def two_proportions(world: World, runs: int, size: int = 800) -> float | None:
    """The share that a test of two proportions blames at 0.5 %: pooled, of a fixed size, without correction."""
    if (oracle := _oracle()) is None or world.fields or world.errors or world.first or world.slower != 1:
        return None
    drawn = oracle[1].random.default_rng(SEED)
    pairs = zip(*(drawn.binomial(size, rate, runs) for rate in (world.candidate, world.stable)), strict=True)
    return sum(_two_proportions(int(one), int(other), size) for one, other in pairs) / runs


def today(world: World, function: FunctionSpec, runs: int) -> float:
    """The share that the canary before the duel failed in the dark: by a sample of 800, or by one question."""
    if function.trigger is Trigger.URL:
        return exact(SAMPLE, world.candidate)
    return sum(_one_question(world.candidate, random.Random(f"{SEED} {run}")) for run in range(runs)) / runs


def _one_question(rate: float, drawn: random.Random) -> bool:
    sample = _WRONG if drawn.random() < rate else _RIGHT
    return analyse("question", [sample], wanted=1, wrong_limit=1, unmeasured_limit=1).outcome is Outcome.FAIL


# The watch

USERS = {10: 30, 100: 300}
"""Calls that the new version of a function with a URL gets in a watch at so many percent: of 60 a minute."""
HEALTH_AT_TEN_PERCENT = 12
MOMENT = datetime(2026, 11, 23, tzinfo=UTC)


def watched_before(trigger: Trigger, rate: float, drawn: random.Random) -> bool:
    """Whether the watch before this one failed a release: two errors, or two wrong answers, or the schedule's run.

    It asked no topic, and the alarms rang later than its last look.
    """
    if trigger is Trigger.SCHEDULE:
        return _one_question(rate, drawn)
    if trigger is Trigger.TOPIC:
        return False
    return any(_failing(calls, rate, drawn) >= 2 for calls in (USERS[10], HEALTH_AT_TEN_PERCENT))


def watched(trigger: Trigger, rate: float, drawn: random.Random) -> bool:
    """Whether the watch stops a release one function of which fails at `rate`, without any alarm.

    With a URL the calls of its users are counted, with a schedule the one run is judged, with a topic the one message
    is counted with Lambda's two repetitions. What is inconclusive twice is stopped too.
    """
    if trigger is Trigger.SCHEDULE:
        return _one_question(rate, drawn)
    if trigger is Trigger.TOPIC:
        return all(_message(rate, drawn) is not Outcome.PASS for _ in range(2))
    return any(_counted(calls, _failing(calls, rate, drawn)) is Outcome.FAIL for calls in USERS.values())


def _failing(calls: int, rate: float, drawn: random.Random) -> int:
    return sum(drawn.random() < rate for _ in range(calls))


def _message(rate: float, drawn: random.Random) -> Outcome:
    errors = next((failed for failed in range(3) if drawn.random() >= rate), 3)
    return _counted(min(errors + 1, 3), errors)


@cache
def _counted(calls: int, errors: int) -> Outcome:
    """The verdict of the watch's own code over a CloudWatch that has counted so much."""
    sums = {"invocations": calls, "errors": errors}
    results = [{"Id": name, "Values": [value], "StatusCode": "Complete"} for name, value in sums.items()]
    cloudwatch = SimpleNamespace(get_metric_data=lambda **_call: {"MetricDataResults": results})
    names = SimpleNamespace(function="dashboard", alias_resource=lambda alias: f"dashboard:{alias}")
    counts = Counts(cloudwatch, names, ReleaseSettings(), Clock(), since=MOMENT, answered=[MOMENT])  # ty: ignore[invalid-argument-type]
    counts.take()
    return counts.verdict().outcome


# The tables


def print_sample(runs: int) -> None:
    print(f"A sample of n requests fails at the smallest number of errors that at most {FALSE_ALARMS:.0%} of sound")
    print(f"releases reach, whose requests fail at {BASE_RATE:.1%}. Chance of `fail`, exact (and drawn):\n")
    heads = (f"n = {size} (fails at {error_limit(size)})" for size in SIZES)
    print(f"| errors | {' | '.join(heads)} |\n| --- |{' --- |' * len(SIZES)}")
    for rate in ERROR_RATES:
        # Short of a rate of 100 % nothing is certain, even where a float holds no more digits.
        sure = (exact(size, rate) - (1e-12 if 0 < rate < 1 else 0) for size in SIZES)
        drawn = (measured(size, rate, runs) for size in SIZES)
        fields = (f"{percent(chance)} ({share:.1%})" for chance, share in zip(sure, drawn, strict=True))
        print(f"| {rate:.1%} | {' | '.join(fields)} |", flush=True)
    print("\nUp to a rate of 0.1 % a `fail` is a false alarm, above it a detection.\n")


def print_duels(runs: int, processes: int, only: str) -> None:
    head = ("world", "fail", "pass", "inconclusive", "Mann-Whitney", "two proportions")
    head += ("questions: mean", "median", "to stable: mean")
    print(f"| {' | '.join(head)} |\n| {'--- | ' * len(head)}".rstrip())
    passed: dict[str, float] = {}
    with Pool(processes) as pool:
        for world in (world for world in WORLDS if only in world.name):
            jobs = [(world, min(250, runs - first), first) for first in range(0, runs, 250)]
            ended = [one for part in pool.imap_unordered(_duels, jobs) for one in part]
            shares = Counter(outcome for outcome, *_ in ended)
            passed[world.name] = shares[Outcome.PASS] / runs
            others = (mann_whitney(world, runs), two_proportions(world, runs))
            fields = [
                *(percent(shares[outcome] / runs) for outcome in (Outcome.FAIL, Outcome.PASS, Outcome.INCONCLUSIVE)),
                *("-" if share is None else percent(share) for share in others),
                f"{statistics.mean(asked for _, asked, _ in ended):.0f}",
                f"{statistics.median(asked for _, asked, _ in ended):.0f}",
                f"{statistics.mean(controls for *_, controls in ended):.0f}",
            ]
            print(f"| {world.name} | {' | '.join(fields)} |", flush=True)
    print_watch(runs, passed)


def print_watch(runs: int, passed: dict[str, float]) -> None:
    """Print what duel and watch stop together, in whichever function it hides, beside the canary before them."""
    print("\nStopped in the dark, or at the latest by the watch, when the failures hide in one function:\n")
    head = [f"{function.key}: {which}" for function in FUNCTIONS for which in ("before", "duel", "duel and watch")]
    print(f"| errors in one function | {' | '.join(head)} |\n| --- |{' --- |' * len(head)}")
    for world in (world for world in RATES if world.name in passed):
        fields = []
        for function in FUNCTIONS:
            seen = {}
            for which in (watched_before, watched):
                drawn = random.Random(f"{SEED} {function.key}")
                seen[which] = sum(which(function.trigger, world.candidate, drawn) for _ in range(runs)) / runs
            dark, duel = today(world, function, runs), 1 - passed[world.name]
            both = 1 - (1 - duel) * (1 - seen[watched])
            fields += [percent(1 - (1 - dark) * (1 - seen[watched_before])), percent(duel), percent(both)]
        print(f"| {world.candidate * 100:g} % | {' | '.join(fields)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="releases drawn for each field of the sample's table")
    parser.add_argument("--duels", type=int, default=DUELS, help="duels of each row of the other tables")
    parser.add_argument("--processes", type=int, default=1, help="processes that simulate duels")
    parser.add_argument("--only", default="", help="only the rows of the duel's table with this in their name")
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()};")
    print(
        f"Python {platform.python_version()}, pydantic {version('pydantic')}; {chosen.runs} releases per field of the"
    )
    print(f"first table, {chosen.duels} duels per row of the others, seed {SEED}.\n")
    if not chosen.only:
        print_sample(chosen.runs)
    print_duels(chosen.duels, chosen.processes, chosen.only)


if __name__ == "__main__":
    main()
