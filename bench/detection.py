"""How surely the dark sample finds a broken release, and how often it takes a sound one for broken: `make bench`.

For every error rate and size of the sample it prints the exact chance of the verdict `fail` (binomial distribution,
with the limit that the releaser would use) and, in brackets, the share of releases that the releaser's own verdict code
fails when their answers are drawn by a seeded generator. Measures only; the bounds are tests/unit/release/
test_detection.py.
"""

import argparse
import os
import platform
import random
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from release.analysis.probes import analyse_sample, error_limit  # noqa: E402
from release.analysis.statistics import chance  # noqa: E402
from release.analysis.verdict import Outcome, Sample, Taken  # noqa: E402
from release.settings import ReleaseSettings  # noqa: E402

SIZES = (50, 200, 800, 3200)
ERROR_RATES = (0.0, 0.001, 0.01, 0.05, 0.2, 1.0)
RUNS = 1000
SEED = 20261123
_RIGHT, _WRONG = Sample("request", Taken.RIGHT, ms=25.0), Sample("request", Taken.WRONG, "answered 502", 25.0)


def exact(size: int, error_rate: float) -> float:
    """The chance that a sample of this size fails a release whose requests fail at this rate."""
    return chance(size, error_limit(ReleaseSettings(sample=size)), error_rate)


def measured(size: int, error_rate: float, runs: int = RUNS, seed: int = SEED) -> float:
    """The share of `runs` releases that the verdict code fails."""
    settings, drawn = ReleaseSettings(sample=size), random.Random(f"{seed} {size} {error_rate}")
    failed = 0
    for _ in range(runs):
        samples = [_WRONG if drawn.random() < error_rate else _RIGHT for _ in range(size)]
        failed += analyse_sample(samples, settings).outcome is Outcome.FAIL
    return failed / runs


def percent(share: float) -> str:
    """A share as people read it: never rounded to certainty."""
    if 0 < share < 0.0001:
        return "< 0.01%"
    return "> 99.99%" if 0.9999 < share < 1 else f"{share:.2%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="releases drawn for each field of the table")
    runs = parser.parse_args().runs
    rule = ReleaseSettings()
    print(f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()};")
    print(
        f"Python {platform.python_version()}, pydantic {version('pydantic')}; {runs} releases per field, seed {SEED}.\n"
    )
    print(
        f"A sample of n requests fails at the smallest number of errors that at most {rule.false_alarms:.0%} of sound"
    )
    print(f"releases reach, whose requests fail at {rule.base_error_rate:.1%}. Chance of `fail`, exact (and drawn):\n")
    heads = (f"n = {size} (fails at {error_limit(ReleaseSettings(sample=size))})" for size in SIZES)
    print(f"| errors | {' | '.join(heads)} |\n| --- |{' --- |' * len(SIZES)}")
    for rate in ERROR_RATES:
        # Short of a rate of 100 % nothing is certain, even where a float holds no more digits.
        sure = (exact(size, rate) - (1e-12 if 0 < rate < 1 else 0) for size in SIZES)
        drawn = (measured(size, rate, runs) for size in SIZES)
        fields = (f"{percent(chance)} ({share:.1%})" for chance, share in zip(sure, drawn, strict=True))
        print(f"| {rate:.1%} | {' | '.join(fields)} |", flush=True)
    print("\nUp to a rate of 0.1 % a `fail` is a false alarm, above it a detection.")


if __name__ == "__main__":
    main()
