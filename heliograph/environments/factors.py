"""Actions of several factors as one axis: a number for every combination of their choices, and its mask.

Axis legend: A joint actions, n_i choices of factor i; A is their product.
For the adapter of foreign environments, and for what describes environments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.contract import array_of

MOST_JOINT_ACTIONS = 1_024
"""Each costs a logit of the actor, a byte of the mask that an agent is sent at every step, and an entry of the one-hot
action that a world model reads; 1,024 are ten bits of a message.  More would be mostly untried."""

_MOST_SHOWN = 8
"""Factors that are named one by one."""


@dataclass(frozen=True, kw_only=True)
class Factors:
    """Of one agent's action; joint actions are numbered row-major, so that the last factor changes fastest."""

    sizes: tuple[int, ...]
    """n_i, at least one factor and at least one choice each."""

    @property
    def count(self) -> int:
        """A."""
        return math.prod(self.sizes)

    @property
    def words(self) -> str:
        """For people: "5 x 3 = 15 joint actions"."""
        if len(self.sizes) == 1:
            return f"{self.count} actions"
        shown = [*map(str, self.sizes[:_MOST_SHOWN]), *(["..."] if len(self.sizes) > _MOST_SHOWN else [])]
        count = self.count if self.count < 10**9 else f"about 10^{math.log10(self.count):.0f}"
        return f"{' x '.join(shown)} = {count} joint actions"

    @property
    def ambiguous(self) -> bool:
        """Whether one mask per factor, in a row, is as long as a mask of the joint actions."""
        return len(self.sizes) > 1 and sum(self.sizes) == self.count

    def choices(self, action: int) -> tuple[int, ...]:
        """One choice per factor, from 0, of a joint action in 0 .. A - 1."""
        found: list[int] = []
        for size in reversed(self.sizes):  # numpy's own unravelling ends at so many dimensions
            action, choice = divmod(action, size)
            found.append(choice)
        return tuple(reversed(found))

    def action(self, choices: Sequence[int]) -> int:
        """The joint action of one choice per factor."""
        joint = 0
        for choice, size in zip(choices, self.sizes, strict=True):
            joint = joint * size + choice
        return joint

    def mask_parts(self, told: Any) -> list[Any] | None:
        """What was told of each factor, not yet checked; None if it is of the joint actions, or of nothing known.

        One mask per factor may come as a tuple, nested as gymnasium nests those of a Tuple space, or as one row.
        A row that could be either is of the joint actions.
        """
        if _is_nested(told):
            rows = _rows(told)
            return rows if len(rows) == len(self.sizes) else None
        row, problem = array_of(told)
        if problem or row.shape != (sum(self.sizes),) or self.ambiguous:
            return None
        return list(np.split(row, np.cumsum(self.sizes)[:-1]))

    def joint_mask(self, masks: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
        """bool [A]: a joint action is legal if each of its choices is, by bool [n_i] of each factor."""
        joint = np.ones(1, dtype=bool)
        for mask in masks:
            joint = (joint[:, None] & mask).reshape(-1)  # [n_0 * ... * n_i], row-major
        return joint


def _is_nested(told: Any) -> bool:
    """Whether it is a collection of collections."""
    if isinstance(told, np.ndarray):
        return told.ndim == 2
    return isinstance(told, tuple | list) and bool(told) and all(isinstance(part, _COLLECTIONS) for part in told)


def _rows(told: Any) -> list[Any]:
    """The rows that something nested is made of, in order."""
    return [row for part in told for row in (_rows(part) if _is_nested(part) else [part])]


_COLLECTIONS = (tuple, list, np.ndarray)
