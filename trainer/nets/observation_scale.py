"""Observations on a scale of their own: every number less its running mean, in units of its running deviation.

Axis legend: D observation; [...] any leading axes.  Only networks and what learns them may import it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from trainer.nets.observations import Image
from trainer.ranks.group import ranks

_KEPT = 0.999
"""Weight of what was known before, per update."""
_SMALLEST = 1e-4
"""No deviation counts for less."""
_FURTHEST = 5.0
"""Deviations from the mean at which a number is cut off: one that hardly ever differs would drown all others."""


class ObservationScale(nn.Module):
    """Moments of each number of an observation; the identity until it has seen any."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.zeros(size))
        self.register_buffer("weight", torch.zeros(()))
        self.mean: Tensor
        self.square: Tensor
        self.weight: Tensor

    def see(self, observation: Tensor, present: Tensor) -> None:
        """Take in the observations [..., D] of an update, on all ranks, of those that were present, bool [...]."""
        rows = observation[present]
        powers = (rows, rows.square())
        local = torch.stack([power.mean(0) if len(rows) else power.sum(0) for power in powers])  # of nothing: zeros
        means, count = ranks().weighted_mean(local, rows.new_tensor(float(len(rows))))
        if not count:
            return
        for kept, mean in zip((self.mean, self.square), means, strict=True):
            kept.mul_(_KEPT).add_((1 - _KEPT) * mean)
        self.weight.mul_(_KEPT).add_(1 - _KEPT)

    def to_scale(self, observation: Tensor) -> Tensor:
        mean, deviation = self._moments()
        return ((observation - mean) / deviation).clamp(-_FURTHEST, _FURTHEST)

    def from_scale(self, observation: Tensor) -> Tensor:
        mean, deviation = self._moments()
        return observation * deviation + mean

    def _moments(self) -> tuple[Tensor, Tensor]:
        known = self.weight > 0
        weight = torch.where(known, self.weight, 1.0)
        mean = self.mean / weight
        deviation = (self.square / weight - mean.square()).clamp(min=0).sqrt().clamp(min=_SMALLEST)
        return mean, torch.where(known, deviation, 1.0)


class ScaledEncoder(nn.Module):
    """`network` reads observations on their scale."""

    def __init__(self, network: nn.Module, scale: ObservationScale) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, observation: Tensor) -> Tensor:
        """[..., D] -> [..., F]."""
        embedding: Tensor = self.network(self.scale.to_scale(observation))
        return embedding


def on_scale(
    network: nn.Module, observations: Literal["raw", "standardised"], *, size: int, image: Image | None
) -> nn.Module:
    """A network that reads observations [..., size] as they are, or on their scale; with an image, as they are."""
    return (
        ScaledEncoder(network, ObservationScale(size)) if observations == "standardised" and image is None else network
    )


def scale_of(network: nn.Module) -> ObservationScale | None:
    """That on which a network reads observations; None: as they are."""
    return network.scale if isinstance(network, ScaledEncoder) else None


def as_read(network: nn.Module, observation: Tensor) -> Tensor:
    """Observations [..., D] as such a network reads them."""
    scale = scale_of(network)
    return observation if scale is None else scale.to_scale(observation)
