"""Scalars as categorical distributions over integers in squashed space (MuZero, appendix F; MAZero, appendix B.1).

Axis legend: C bins of a support; [...] any leading axes.

A scalar x is squashed to h(x) = sign(x)(sqrt(|x| + 1) - 1) + 0.001 x and put on the two integers around it, so that
their mean is h(x).  A distribution is read as h^-1 of its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

EPSILON = 0.001
"""Of the linear part of h, and the size below which a decoded scalar counts as 0."""


def squash(x: Tensor) -> Tensor:
    """h, which grows like a square root."""
    return torch.sign(x) * (torch.sqrt(x.abs() + 1) - 1) + EPSILON * x


def unsquash(y: Tensor) -> Tensor:
    """h^-1.  It subtracts numbers that are nearly equal, which costs three digits: give it float64."""
    root = torch.sqrt(1 + 4 * EPSILON * (y.abs() + 1 + EPSILON)) - 1
    return torch.sign(y) * ((root / (2 * EPSILON)).square() - 1)


@dataclass(frozen=True, kw_only=True)
class Support:
    """The integers from `low` to `high`."""

    low: int
    high: int

    @property
    def bins(self) -> int:
        """C."""
        return self.high - self.low + 1

    def two_hot(self, x: Tensor, *, published: bool = False) -> Tensor:
        """Targets [..., C] for scalars [...]; what lies beyond the support counts as its end.

        `published`: as the released code does it, where h(x) is an integer the row is all zeros: it writes the two
        probabilities one after the other, then into the same bin.
        """
        squashed = squash(x).clamp(self.low, self.high)
        below = squashed.floor()
        share = squashed - below  # of the bin above
        index = (below - self.low).long()
        rows = x.new_zeros(*x.shape, self.bins)
        if published:
            above = (squashed.ceil() - self.low).long()
            rows.scatter_(-1, index.unsqueeze(-1), (1 - share).unsqueeze(-1))
            rows.scatter_(-1, above.unsqueeze(-1), share.unsqueeze(-1))
            return rows
        above = (index + 1).clamp(max=self.bins - 1)
        rows.scatter_add_(-1, index.unsqueeze(-1), (1 - share).unsqueeze(-1))
        rows.scatter_add_(-1, above.unsqueeze(-1), share.unsqueeze(-1))
        return rows

    def decode(self, logits: Tensor) -> Tensor:
        """Scalars [...] of logits [..., C], in their precision; the arithmetic between is float64's."""
        return self.mean(torch.softmax(logits.double(), dim=-1)).to(logits.dtype)

    def mean(self, probabilities: Tensor) -> Tensor:
        """Scalars [...] of distributions [..., C]."""
        bins = torch.arange(self.low, self.high + 1, dtype=probabilities.dtype, device=probabilities.device)
        scalars = unsquash((probabilities * bins).sum(-1))
        return torch.where(scalars.abs() < EPSILON, 0.0, scalars)

    def within(self, x: Tensor) -> Tensor:
        """Scalars [...] that the support can hold: themselves, or its end."""
        low, high = unsquash(torch.tensor([self.low, self.high], dtype=torch.float64)).tolist()
        return x.clamp(low, high)

    def beyond(self, x: Tensor) -> Tensor:
        """bool [...]: which scalars the support cannot hold."""
        squashed = squash(x)
        return (squashed < self.low) | (squashed > self.high)
