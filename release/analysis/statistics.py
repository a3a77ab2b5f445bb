"""Chances, limits and percentiles: the numbers behind the verdicts. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice


def chance(samples: int, errors: int, rate: float) -> float:
    """The chance that at least `errors` of `samples` are wrong when each is wrong with probability `rate`: binomial."""
    if errors <= 0 or rate >= 1:
        return float(errors <= samples)
    if rate <= 0:
        return 0.0
    return max(0.0, 1.0 - math.fsum(islice(_chances(samples, rate), errors)))


def _chances(samples: int, rate: float) -> Iterator[float]:
    """The chances that exactly none, one, two, ... of `samples` are wrong, with 0 < `rate` < 1.

    In logarithms: of a million samples the chance of none is smaller than a float holds. Each follows from the one
    before it, so that no difference of large logarithms takes digits away.
    """
    logarithm, odds = samples * math.log1p(-rate), math.log(rate) - math.log1p(-rate)
    for count in range(samples):
        yield math.exp(logarithm)
        logarithm += math.log((samples - count) / (count + 1)) + odds
    yield math.exp(logarithm)


def limit_for(samples: int, base_rate: float, false_alarms: float, least: int = 1) -> int:
    """The smallest limit that a healthy release, wrong at `base_rate`, reaches with a chance of at most `false_alarms`.

    The smallest, because every lower limit finds more: of 800 samples, at 0.1 % and 1 %, it is 4. But at least `least`.
    """
    if base_rate >= 1:
        return max(least, samples + 1)
    if base_rate <= 0:
        return max(least, 1)
    # One sum for all limits: the chance to stay below a limit is that of the limit before it and one term more.
    below = accumulate(_chances(samples, base_rate))
    reached = (limit for limit, chance_below in enumerate(below, 1) if 1 - chance_below <= false_alarms)
    return max(least, next(reached, samples + 1))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order."""
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]
