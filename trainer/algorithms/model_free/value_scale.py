"""The scale on which a critic learns (MAPPO, "value normalisation")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_KEPT = 0.99
"""Weight of what was known before, per update."""


class ValueScale(nn.Module):
    """Running mean and deviation of returns; the identity until it has seen any."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("mean", "square", "weight"):
            self.register_buffer(name, torch.zeros(()))
        self.mean: Tensor
        self.square: Tensor
        self.weight: Tensor

    def see(self, returns: Tensor) -> None:
        """Take in the returns [...] of an update."""
        for kept, seen in ((self.mean, returns.mean()), (self.square, returns.square().mean()), (self.weight, 1.0)):
            kept.mul_(_KEPT).add_((1 - _KEPT) * seen)

    def to_scale(self, returns: Tensor) -> Tensor:
        mean, deviation = self._moments()
        return (returns - mean) / deviation

    def from_scale(self, values: Tensor) -> Tensor:
        mean, deviation = self._moments()
        return values * deviation + mean

    def _moments(self) -> tuple[Tensor, Tensor]:
        known = self.weight > 0
        weight = torch.where(known, self.weight, 1.0)
        mean = self.mean / weight
        deviation = (self.square / weight - mean.square()).clamp(min=1e-4).sqrt()
        return mean, torch.where(known, deviation, 1.0)
