"""Rules for two trains at a bottleneck: when each tries to enter the passage, and the best that need no message.

A train knows how many cells before the points it starts, and then only when it may enter.  Who goes a step later than
it could arrives a step later, and has lost too much after `slack` of them.  Two trains in the passage meet there and
are stuck.  Where both want the points at the same step, one from within the passage, flatland lets the first train go:
then the second one waits for a step and enters, or the first has cut the other off.

So a rule for one that neither sees nor hears the other says for each start after how many steps it tries.  Of all pairs
of such rules the best is found by trying all for the first train and answering with the best for the second, start by
start.  Drawing lots or standing still in the passage gains nothing.

Axis legend: S starts, 1 to S cells before the points; W = slack + 2 waits, the last of which is never to enter.
For `heliograph.environments.flatland`; imports no simulator.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from heliograph.environments.flatland.bottleneck_settings import BottleneckSettings, approach_pairs

Rule = tuple[int, ...]
"""The wait of each start, nearest first; the last wait is never to enter."""
MOST_RULES = 300_000
"""Rules of one train that are tried; seconds."""


def arrived(settings: BottleneckSettings, starts: tuple[int, int], waits: tuple[int, int]) -> float:
    """Share of the two that arrive in time when they try after so many steps, `slack` + 1 for never."""
    late = [wait > settings.slack for wait in waits]
    if any(late):
        return 1.0 - sum(late) / 2
    tries = [start + wait for start, wait in zip(starts, waits, strict=True)]
    apart = abs(tries[0] - tries[1])
    if apart > settings.passage - 1:
        return 1.0
    if apart < settings.passage - 1 or tries[0] > tries[1]:
        return 0.0
    return 0.5 if waits[1] == settings.slack else 1.0  # held for a step


@lru_cache(maxsize=32)
def best_silent(settings: BottleneckSettings) -> tuple[float, tuple[Rule, Rule]] | None:
    """The best mean share of arrived trains that cannot hear, and both rules: the wait of each start.

    None where that is not what the trains would do, or where there are more than MOST_RULES for one: they see others,
    break down, or have another time.
    """
    starts, waits = settings.approaches, settings.slack + 2
    others = settings.sight != 0 or settings.malfunction_interval or settings.step_limit is not None
    if others or waits**starts > MOST_RULES:
        return None
    pairs = approach_pairs(settings)
    worth = np.zeros((starts, waits, starts, waits))
    for first, second in pairs:
        for one, other in product(range(waits), repeat=2):
            worth[first - 1, one, second - 1, other] = arrived(settings, (first, second), (one, other)) / len(pairs)
    best, rules = -1.0, (Rule(), Rule())
    for rule in product(range(waits), repeat=starts):
        answers = worth[np.arange(starts), rule].sum(0)  # [S, W]
        if (value := float(answers.max(-1).sum())) > best + 1e-9:
            best, rules = value, (rule, tuple(answers.argmax(-1).tolist()))
    return best, rules


def first_come(settings: BottleneckSettings, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int [..., 2], waits for starts [..., 2] that are known to both: who is there first goes first."""
    first = starts[..., :1] <= starts[..., 1:]
    goes_second = np.concatenate([~first, first], axis=-1)
    free = settings.passage - np.abs(starts[..., :1] - starts[..., 1:])
    return np.where(goes_second, np.maximum(free, 0), 0)
