"""The scale on which a critic or a reward head learns (MAPPO, "value normalisation")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.ranks.group import ranks

_KEPT = 0.99
"""Weight of what was known before, per update."""


class ValueScale(nn.Module):
    """Running mean and deviation of returns; the identity until it has seen any."""

    def __init__(self, *, smallest: float = 1e-2) -> None:
        """`smallest`: no deviation counts for less."""
        super().__init__()
        self._smallest = smallest**2
        for name in ("mean", "square", "weight"):
            self.register_buffer(name, torch.zeros(()))
        self.mean: Tensor
        self.square: Tensor
        self.weight: Tensor

    def see(self, returns: Tensor, weight: Tensor | None = None) -> None:
        """Take in the returns [...] of an update, on all ranks; `weight` [...] is what each counts for (None: the
        same)."""
        weighs = returns.new_tensor(float(returns.numel())) if weight is None else weight.sum()
        share = None if weight is None else weight / weighs.clamp(min=1e-6)
        powers = (returns, returns.square())
        means = torch.stack([power.mean() if share is None else (power * share).sum() for power in powers])
        for kept, mean in zip((self.mean, self.square), ranks().weighted_mean(means, weighs)[0], strict=True):
            kept.mul_(_KEPT).add_((1 - _KEPT) * mean)
        self.weight.mul_(_KEPT).add_(1 - _KEPT)

    def to_scale(self, returns: Tensor) -> Tensor:
        mean, deviation = self._moments()
        return (returns - mean) / deviation

    def from_scale(self, values: Tensor) -> Tensor:
        mean, deviation = self._moments()
        return values * deviation + mean

    @property
    def magnitude(self) -> Tensor:
        """Root of the mean square of what was seen, scalar; 1 before."""
        known = self.weight > 0
        mean_square = self.square / torch.where(known, self.weight, 1.0)
        return torch.where(known, mean_square.sqrt().clamp(min=self._smallest**0.5), 1.0)

    def _moments(self) -> tuple[Tensor, Tensor]:
        known = self.weight > 0
        weight = torch.where(known, self.weight, 1.0)
        mean = self.mean / weight
        deviation = (self.square / weight - mean.square()).clamp(min=self._smallest).sqrt()
        return mean, torch.where(known, deviation, 1.0)
