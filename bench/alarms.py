"""How often the alarm on failed calls rings for nothing, and how soon for a reason: docs/figures/alarms.md.

Exact chances, nothing is drawn. The row is the one of components/service/alarms.py, whose expression and threshold the
local cloud's evaluator asks (localcloud/alarms); beside it the row of a schedule, which rings at one failed call, as
all of them once did; and the limit of failed calls in one look of the releaser (release/analysis/counts.py).
Measures only; the bounds are tests/unit/program/test_alarm_rates.py.
"""

import math
import os
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from components.service.alarms import AlarmSpec, alarms  # noqa: E402
from localcloud.alarms.formula import Formula  # noqa: E402
from localcloud.alarms.rules import AlarmRule, Missing, StateValue, decide  # noqa: E402
from release.analysis.counts import _FALSE_ALARMS as FALSE_ALARMS_OF_A_LOOK  # noqa: E402
from release.analysis.statistics import chance, limit_for  # noqa: E402
from release.pulumi.stack_config import load  # noqa: E402
from release.settings import ReleaseSettings  # noqa: E402
from tests.stacks import STACK_FILES  # noqa: E402

TRAFFIC = (1, 10, 100, 1000, 10_000)
"""Calls a minute."""
RATES = (0.0, 0.001, 0.01, 0.05, 0.2, 1.0)
SWEEP = tuple(sorted({*range(1, 40, 3), *range(40, 1000, 30), *range(1000, 10_001, 1000)}))
"""More of it: false alarms are most frequent where the least number of errors is just the least rate."""
LOOK, BAKE = 5, 60
"""Minutes of the releaser's look, and of the time after the release."""
_MOST_ERRORS = 60
"""So many errors at 0.1 % hardly come in any minute here (10 are expected at most)."""
_WIDE = 8
"""Standard deviations of the number of calls beyond which a minute is too rare to count (one in 10**15)."""


Rings = Callable[[float | None, float | None], bool]
"""Whether a minute with so many errors and calls rings."""


def row(key: str) -> AlarmSpec:
    """The row of the alarm table, for the settings of production."""
    return next(one for one in alarms(load("prod", STACK_FILES, {})) if one.key == key)


def evaluated(alarm: AlarmSpec) -> Rings:
    """How CloudWatch judges a minute by the row: with so many errors and calls, and None where there are no data."""
    rule = AlarmRule(
        comparison=alarm.comparison,
        threshold=alarm.threshold,
        statistic=alarm.statistic,
        evaluation_periods=alarm.evaluation_periods,
        datapoints_to_alarm=alarm.datapoints,
        missing=Missing(alarm.missing_data),
    )
    names = alarm.inputs or {alarm.metric: alarm.metric}
    formula = Formula(alarm.expression or alarm.metric, frozenset(names))

    def rings(errors: float | None, calls: float | None) -> bool:
        counted = {"Errors": errors, "Invocations": calls}
        point = formula.point({name: counted[metric] for name, metric in names.items()})
        return decide(rule, [None] * (rule.periods - 1) + [point], StateValue.OK) is StateValue.ALARM

    return rings


def least_errors(rings: Rings, calls: int) -> int:
    """The fewest errors of so many calls with which a minute rings; one more than the calls where none do."""
    below, ringing = -1, calls + 1
    while ringing - below > 1:
        errors = (below + ringing) // 2
        below, ringing = (below, errors) if rings(errors, calls) else (errors, ringing)
    return ringing


def a_minute(rings: Rings, traffic: float, rate: float) -> float:
    """The chance that a minute rings, with `traffic` calls a minute that come independently (Poisson)."""
    return math.fsum(share * chance(calls, least_errors(rings, calls), rate) for calls, share in _minutes(traffic))


def call_by_call(rings: Rings, calls: int, rate: float) -> float:
    """The chance that a minute of so many calls rings at any time, if CloudWatch saw one call after the other.

    It bounds what metrics do that come late and in pieces.
    """
    quiet, rang = [1.0], 0.0
    """The chances of each number of errors so far, of the minutes that have not rung."""
    for seen in range(1, calls + 1):
        after = [left * (1 - rate) for left in quiet] + [0.0]
        for errors, left in enumerate(quiet):
            after[errors + 1] += left * rate
        limit_here = least_errors(rings, seen)
        rang += math.fsum(after[limit_here:])
        quiet = after[: min(limit_here, _MOST_ERRORS)]
    return rang


def _minutes(traffic: float) -> Iterator[tuple[int, float]]:
    """The numbers of calls in one minute, with their chances."""
    spread = _WIDE * math.sqrt(traffic) + _WIDE
    for calls in range(max(0, int(traffic - spread)), int(traffic + spread) + 1):
        yield calls, math.exp(calls * math.log(traffic) - traffic - math.lgamma(calls + 1))


def within(minutes: int, once: float) -> float:
    """The chance of at least one of so many minutes, when each has the chance `once`."""
    return 1.0 if once >= 1 else -math.expm1(minutes * math.log1p(-once))


def limit(traffic: int) -> int:
    """The failed calls of a look at which the releaser fails a release."""
    return limit_for(LOOK * traffic, ReleaseSettings().sound_rate, FALSE_ALARMS_OF_A_LOOK, least=2)


def percent(share: float) -> str:
    """A share as people read it: never rounded to certainty."""
    if 0 < share < 0.0001:
        return "< 0.01%"
    return "> 99.99%" if 0.9999 < share < 1 else f"{share:.2%}"


def _mean(once: float) -> str:
    minutes = 1 / once if once else math.inf
    if minutes > 1e6:
        return "-"
    return f"{minutes:.1f}" if minutes < 100 else f"{minutes:.0f}"


def _fields(rings: Rings, traffic: int, rate: float) -> list[str]:
    once = a_minute(rings, traffic, rate)
    return [percent(within(LOOK, once)), percent(within(BAKE, once)), _mean(once)]


def main() -> None:
    print(f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()};")
    print(f"Python {platform.python_version()}; exact chances, calls come independently (Poisson).\n")
    by_rate, by_count = row("dashboard-errors"), row("ingestion-errors")
    print(f"By rate: `{by_rate.expression}` of a minute is at least {by_rate.threshold:g} (percent).")
    print(f"One error: {by_count.metric} of a minute is at least {by_count.threshold:g}.")
    print(f"Look: failed calls among those of {LOOK} minutes that fail a release.\n")
    print_chances(evaluated(by_rate), evaluated(by_count))
    print_worst(evaluated(by_rate))


def print_chances(by_rate: Rings, by_count: Rings) -> None:
    """Print what rings at which traffic and rate of errors."""
    kinds = [f"{kind}: {LOOK} min | {BAKE} min | mean min" for kind in ("by rate", "one error")]
    print(f"| calls a minute | errors | {' | '.join(kinds)} | look: limit | chance |")
    print(f"|{' ---: |' * 10}")
    for traffic in TRAFFIC:
        for rate in RATES:
            look = [f"{limit(traffic)}", percent(chance(LOOK * traffic, limit(traffic), rate))]
            fields = [*_fields(by_rate, traffic, rate), *_fields(by_count, traffic, rate), *look]
            print(f"| {traffic:,} | {rate * 100:g} % | {' | '.join(fields)} |", flush=True)


def print_worst(by_rate: Rings) -> None:
    """Print the false alarms of a sound release at the traffic that has the most, and when metrics come in pieces."""
    sound = ReleaseSettings().sound_rate
    chances = {traffic: within(BAKE, a_minute(by_rate, traffic, sound)) for traffic in SWEEP}
    worst = max(chances, key=chances.__getitem__)
    print(f"\nWith {sound:.1%} errors, of {len(SWEEP)} rates of traffic up to {SWEEP[-1]:,} calls a minute, most false")
    print(f"alarms by rate in {BAKE} minutes come at {worst:,} calls a minute: {percent(chances[worst])}.")
    print("If CloudWatch saw the calls of each minute one by one, and looked each time:\n")
    print(f"| calls a minute | by rate: {BAKE} min |\n| ---: | ---: |")
    for traffic in TRAFFIC:
        print(f"| {traffic:,} | {percent(within(BAKE, call_by_call(by_rate, traffic, sound)))} |", flush=True)


if __name__ == "__main__":
    main()
