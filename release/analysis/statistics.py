"""Chances, limits and percentiles: the numbers behind the verdicts. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def chance(samples: int, errors: int, rate: float) -> float:
    """The chance that at least `errors` of `samples` are wrong when each is wrong with probability `rate`: binomial."""
    if errors <= 0 or rate >= 1:
        return float(errors <= samples)
    if rate <= 0:
        return 0.0
    # In logarithms: the coefficients outgrow a float long before the probabilities matter.
    logs = (
        math.lgamma(samples + 1)
        - math.lgamma(count + 1)
        - math.lgamma(samples - count + 1)
        + count * math.log(rate)
        + (samples - count) * math.log1p(-rate)
        for count in range(min(errors, samples + 1))
    )
    return max(0.0, 1.0 - math.fsum(map(math.exp, logs)))


def limit_for(samples: int, base_rate: float, false_alarms: float, least: int = 1) -> int:
    """The smallest limit that a healthy release, wrong at `base_rate`, reaches with a chance of at most `false_alarms`.

    The smallest, because every lower limit finds more: of 800 samples, at 0.1 % and 1 %, it is 4. But at least `least`.
    """
    reached = (limit for limit in range(1, samples + 2) if chance(samples, limit, base_rate) <= false_alarms)
    return max(least, next(reached))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order."""
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]
