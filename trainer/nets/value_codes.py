"""Values as distributions over a range: Gaussian-smoothed bins, and two-hot support points.  Trainer only.

Axis legend: R bins, P support points; [...] any leading axes.

A head puts out logits over bins or points and learns them by cross entropy; what it says is a mean (MARIE's reward,
Imani & White 2018; Hafner et al. 2023).  Values are squashed on the way in and unsquashed on the way out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def symlog(values: Tensor) -> Tensor:
    """sign(x) log(1 + |x|)."""
    return torch.sign(values) * torch.log1p(values.abs())


def symexp(values: Tensor) -> Tensor:
    """The inverse of symlog."""
    return torch.sign(values) * torch.expm1(values.abs())


def unchanged(values: Tensor) -> Tensor:
    return values


@dataclass(frozen=True)
class Squash:
    """A scale on which values are coded."""

    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]


SYMLOG = Squash(symlog, symexp)
PLAIN = Squash(unchanged, unchanged)

_REACH = 3.0
"""Deviations beyond the range at which a Gaussian is held, since there would be nothing left of it within."""


@dataclass(frozen=True, kw_only=True)
class GaussianBins:
    """R bins of equal width over [lowest, highest] of the squashed scale; a value is a Gaussian's share in each.

    Shares are renormalised within the range, as published, so that values near its ends read a little too small.
    """

    bins: int
    """R."""
    lowest: float
    highest: float
    deviation_bins: float = 0.75
    squash: Squash = SYMLOG

    def encode(self, values: Tensor) -> Tensor:
        """Probabilities [..., R] of values [...]."""
        deviation = self.deviation_bins * (self.highest - self.lowest) / self.bins
        squashed = self.squash.forward(values).clamp(
            self.lowest - _REACH * deviation, self.highest + _REACH * deviation
        )
        edges = torch.linspace(self.lowest, self.highest, self.bins + 1, dtype=values.dtype, device=values.device)
        below = torch.erf((edges - squashed.unsqueeze(-1)) / (math.sqrt(2) * deviation))
        return below.diff(dim=-1) / (below[..., -1:] - below[..., :1])

    def decode(self, probabilities: Tensor) -> Tensor:
        """The mean [...] of probabilities [..., R]."""
        half = (self.highest - self.lowest) / self.bins / 2
        centres = _spread(self.lowest + half, self.highest - half, self.bins, probabilities)
        return self.squash.inverse((probabilities * centres).sum(-1))


@dataclass(frozen=True, kw_only=True)
class TwoHot:
    """P points, equally far apart over [lowest, highest] of the squashed scale; a value lies between two of them.

    A value beyond the range is coded as the end of it.
    """

    points: int
    """P, at least 2."""
    lowest: float
    highest: float
    squash: Squash = SYMLOG

    def encode(self, values: Tensor) -> Tensor:
        """Probabilities [..., P] of values [...]; at most two of each row are not zero."""
        step = (self.highest - self.lowest) / (self.points - 1)
        place = ((self.squash.forward(values) - self.lowest) / step).clamp(0, self.points - 1)
        below = place.floor().clamp(max=self.points - 2)
        share, at = (place - below).unsqueeze(-1), below.long().unsqueeze(-1)
        nothing = torch.zeros(*values.shape, self.points, dtype=values.dtype, device=values.device)
        return nothing.scatter(-1, at, 1 - share).scatter(-1, at + 1, share)

    def decode(self, probabilities: Tensor) -> Tensor:
        """The mean [...] of probabilities [..., P]."""
        support = _spread(self.lowest, self.highest, self.points, probabilities)
        return self.squash.inverse((probabilities * support).sum(-1))


@dataclass(frozen=True, kw_only=True)
class SpreadTwoHot:
    """P points, the farther apart the farther from 0: symexp of points equally far apart over [-reach, reach].

    A value lies between two of them on its own scale, so that the mean of what may come is the mean of its codes
    (Hafner et al. 2023); of points of a squashed scale it is not, and what is rare and large reads too small.
    """

    points: int
    """P, at least 2."""
    reach: float

    def encode(self, values: Tensor) -> Tensor:
        """Probabilities [..., P] of values [...]; at most two of each row are not zero."""
        support = self._support(values)
        held = values.clamp(support[0], support[-1])
        below = (torch.searchsorted(support, held.contiguous(), right=True) - 1).clamp(0, self.points - 2)
        share = ((held - support[below]) / (support[below + 1] - support[below])).unsqueeze(-1)
        nothing = torch.zeros(*values.shape, self.points, dtype=values.dtype, device=values.device)
        at = below.unsqueeze(-1)
        return nothing.scatter(-1, at, 1 - share).scatter(-1, at + 1, share)

    def decode(self, probabilities: Tensor) -> Tensor:
        """The mean [...] of probabilities [..., P]."""
        return (probabilities * self._support(probabilities)).sum(-1)

    def _support(self, like: Tensor) -> Tensor:
        return symexp(_spread(-self.reach, self.reach, self.points, like))


def _spread(lowest: float, highest: float, count: int, like: Tensor) -> Tensor:
    return torch.linspace(lowest, highest, count, dtype=like.dtype, device=like.device)
