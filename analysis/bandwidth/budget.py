"""Bits as a budget: beta, what an agent sends as a share of a whole exchange, and the area under score against beta.

SLIM (arXiv 2605.21085) has a normalised budget of sparsity, rounds and message size together; what is here is our own
definition, of bits that were counted, and is not meant to be theirs number for number:

    beta = (bits that an agent sends per step, once per receiver) / (bits of a whole exchange)
         = share of the ordered pairs that exchange x rounds per step (1) x size of a message,

where in a whole exchange every agent sends every other one, at every step, 32 x 32 classes, 160 bits, and its action.
It is the same for all teams, so that beta tells their bits apart and nothing else: messages that take more have a beta
above 1, be it for more ids or for the number of ids that they say.  Reports tell of them.

The area is of the best score that was measured at no more than beta, from 0, where every message is masked, to 1.  It
is a lower bound: in between there may be better teams.

Axis legend: R runs, P points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heliograph.aggregates import Aggregate, aggregate, interquartile_mean
from heliograph.environments.vector import EnvironmentSpec

LATENT_BITS = 160
"""Of a message of 32 categoricals with 32 classes, as MAMBA's."""


def whole_exchange_bits(spec: EnvironmentSpec) -> float | None:
    """Bits per agent and step if everyone sends everyone a message; None for an agent alone."""
    if spec.agents < 2:
        return None
    actions = [spec.action_space(slot).message_bits for slot in range(spec.agents)]
    return (spec.agents - 1) * (LATENT_BITS + float(np.mean(actions)))


def area_under(beta: npt.NDArray[np.float64], score: npt.NDArray[np.float64], silent: float) -> float:
    """Area of the best score at no more than a budget, over budgets from 0 to 1; `beta` and `score` are [P], `silent`
    the score at 0.  Points beyond 1 are left out."""
    order = np.argsort(beta, kind="stable")
    inside = order[beta[order] <= 1.0]
    steps = np.concatenate([[0.0], beta[inside], [1.0]])
    best = np.maximum.accumulate(np.concatenate([[silent], score[inside]]))  # [P + 1]
    return float((np.diff(steps) * best).sum())


def area(
    beta: Sequence[float], scores: Sequence[Sequence[float]], silent: Sequence[float], *, bands: bool = True
) -> Aggregate:
    """The interquartile mean over runs of each one's area; `scores` are [P, R] and `silent` [R].

    Without `bands` no interval: of runs that belong to single points.
    """
    columns = np.array(scores, dtype=np.float64).T  # [R, P]
    areas = [area_under(np.array(beta), column, masked) for column, masked in zip(columns, silent, strict=True)]
    found = aggregate([np.array(areas)], interquartile_mean)
    return found if bands else Aggregate(value=found.value, low=None, high=None)
