"""How sure a figure is: bootstrap intervals of means, the same for the same values and seed; Wilson's of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95


def bootstrap_interval(groups: Sequence[Sequence[float]], seed: int) -> tuple[float, float] | None:
    """The 95 % interval of the mean over groups of each group's mean; with one group, of the plain mean.

    Each group is resampled by itself, so that none of them is missing in any resample. None when a group has fewer than
    two values: it would pass for certain.
    """
    if min(map(len, groups), default=0) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.zeros(RESAMPLES)
    for values in map(np.asarray, groups):
        means += [values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means / len(groups), ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``count`` > 0 that was seen as ``hits`` of them (Wilson 1927)."""
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # None and all are exact ends, which rounding would miss by a hair.
    return 0.0 if hits == 0 else middle - half, 1.0 if hits == count else middle + half
