"""Which of the rows that windows can begin at are drawn, where they are not all as likely.

Axis legend: S rows to begin at, B windows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.experience.batch import ByPriority


def by_priority(
    priority: npt.NDArray[Any], by: ByPriority, count: int, random: np.random.Generator
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Which of the starts with these priorities [S] are drawn, and their weights; [B] each."""
    shares = priority.astype(np.float64) ** by.exponent
    ends = np.cumsum(shares)
    assert ends[-1] > 0, "no window has a priority"
    # Rounding can lead to the very end, behind the last of them.
    chosen = np.minimum(np.searchsorted(ends, random.random(count) * ends[-1], side="right"), len(ends) - 1)
    weight = (len(shares) * shares[chosen] / ends[-1]) ** -by.correction
    return chosen, (weight / weight.max()).astype(np.float32)


def by_visits(visits: npt.NDArray[Any], count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Which of the starts with these visits [S] are drawn, int64 [B]; none twice, if as many as wanted have a chance,
    which one that has all the visits has not."""
    chances = visit_weights(visits)
    again = np.count_nonzero(chances) < count
    return random.choice(len(visits), size=count, replace=again, p=chances / chances.sum())


def visit_weights(visits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """1 - visits / all visits, [S]; alike where there are none, and where all are of a single row."""
    total = visits.sum()
    weights: npt.NDArray[np.float64] = 1 - visits / total if total else np.ones(len(visits))
    return weights if np.count_nonzero(weights) > 0 else np.ones(len(visits))
