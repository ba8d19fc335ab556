"""Means with honest 95 % intervals.

Sources: Wilson, "Probable inference", 1927; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE_Z = 1.959963984540054
"""Two-sided 95 %."""

RESAMPLES = 2000
PICKS_AT_ONCE = 2**20


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """Wilson's interval for wins and losses (zeros and ones only), the bootstrap's for anything else."""
    return wilson(values) if all(value in (0.0, 1.0) for value in values) else bootstrap(values)


def wilson(wins: Sequence[float]) -> Estimate:
    """Share of ones among zeros and ones, with Wilson's score interval, which stays honest at 0 and 1."""
    count, share = len(wins), float(np.mean(wins))
    z2 = CONFIDENCE_Z**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    margin = CONFIDENCE_Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    # Where all are alike an end is 0 or 1 exactly, which the difference of floats misses by 1e-18.
    return Estimate(mean=share, low=centre - margin if share > 0 else 0.0, high=centre + margin if share < 1 else 1.0)


def bootstrap(values: Sequence[float]) -> Estimate:
    """Mean with the percentile bootstrap's interval; the same values always give the same interval."""
    sample = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(0)
    rows = max(1, PICKS_AT_ONCE // len(sample))  # all at once, ten thousand episodes would take 300 MB
    sizes = [min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows)]
    picks = (random.integers(len(sample), size=(size, len(sample))) for size in sizes)
    means = np.concatenate([sample[part].mean(axis=1) for part in picks])  # [RESAMPLES]
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(mean=float(sample.mean()), low=float(low), high=float(high))
