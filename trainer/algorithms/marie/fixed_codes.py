"""Codes that are laid out in advance: finite scalar quantisation, and bins of a dimension.

Axis legend: C codes, d numbers in a code; [...] any leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.algorithms.marie.discretiser import FixedCodes

_OVERSHOOT = 1e-3
"""By this share tanh reaches beyond the outermost levels, which rounding would otherwise give half a cell."""


class ScalarLevels(FixedCodes):
    """Finite scalar quantisation: each of d numbers is rounded to one of its levels (Mentzer et al. 2023, §3).

    Codes lie in [-1, 1]^d; an even number of levels has one more below zero than above.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        size = torch.tensor(levels)
        place = torch.tensor([math.prod(levels[:index]) for index in range(len(levels))])
        digits = torch.arange(math.prod(levels)).unsqueeze(-1) // place % size  # [C, d]
        half = size // 2
        super().__init__((digits - half) / half)
        reach = (size - 1) * (1 + _OVERSHOOT) / 2
        offset = torch.where(size % 2 == 0, 0.5, 0.0)
        for name, value in (
            ("place", place.float()),
            ("halves", half.float()),
            ("reach", reach),
            ("offset", offset),
            ("shift", torch.atanh(offset / reach)),
        ):
            self.register_buffer(name, value, persistent=False)
        self.place: Tensor
        self.halves: Tensor
        self.reach: Tensor
        self.offset: Tensor
        self.shift: Tensor

    def bounded(self, vectors: Tensor) -> Tensor:
        return (torch.tanh(vectors + self.shift) * self.reach - self.offset) / self.halves

    def nearest(self, vectors: Tensor) -> Tensor:
        digits = torch.round(vectors * self.halves) + self.halves
        return (digits * self.place).sum(-1).long()


class Bins(FixedCodes):
    """Bins of equal width over a range; a number beyond it counts as being in the outermost one."""

    def __init__(self, *, count: int, lowest: float, highest: float) -> None:
        width = (highest - lowest) / count
        super().__init__((lowest + width * (torch.arange(count, dtype=torch.float64) + 0.5)).float().unsqueeze(-1))
        self._lowest, self._width = lowest, width

    def nearest(self, vectors: Tensor) -> Tensor:
        place = torch.floor((vectors.squeeze(-1) - self._lowest) / self._width)
        return torch.clamp(place, 0, self.classes - 1).long()
