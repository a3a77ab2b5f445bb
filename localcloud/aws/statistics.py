"""Statistics of metric samples: pure."""

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MetricSample:
    """One published value, or the summary of several."""

    count: float
    total: float
    minimum: float
    maximum: float


def statistic(name: str, samples: list[MetricSample]) -> float | None:
    """Return a statistic of at least one sample.

    Args:
        name: Sum, Average, Minimum, Maximum, SampleCount, or a percentile such as p99 or p99.9 (nearest rank; a
            summary counts with its maximum).
        samples: what was published in the period.

    Returns:
        The value; None when there is no such statistic.
    """
    count, total = sum(one.count for one in samples), sum(one.total for one in samples)
    plain = {
        "Sum": total,
        "SampleCount": count,
        "Average": total / count if count else None,
        "Minimum": min(one.minimum for one in samples),
        "Maximum": max(one.maximum for one in samples),
    }
    if name in plain:
        return plain[name]
    percentile = re.fullmatch(r"p(\d+(?:\.\d+)?)", name)
    if not percentile:
        return None
    ordered = sorted(one.maximum for one in samples)
    rank = math.ceil(float(percentile.group(1)) / 100 * len(ordered))
    return ordered[min(max(rank, 1), len(ordered)) - 1]
