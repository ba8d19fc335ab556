"""Heads whose targets are of no known scale.  Trainer only.

Axis legend: P points on which a value is coded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.nets.perceptron import FeatureHead
from trainer.nets.value_codes import SpreadTwoHot
from trainer.nets.value_scale import ValueScale

_SMALLEST = 1e-4

TARGETS = SpreadTwoHot(points=63, reach=5.0)
"""Of rewards in units of their magnitude: up to 147 of it."""


class ScaledHead(nn.Module):
    """`network` learns its targets less their running mean, in units of their deviation; what it says is in theirs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.scale = network, ValueScale(smallest=_SMALLEST)

    def forward(self, *features: Any) -> Tensor:
        """What the network makes of its arguments, on the scale of the targets: [..., 1]."""
        return self.scale.from_scale(self.network(*features))


class TwoHotHead(nn.Module):
    """`network` gives logits [..., P] of a target in units of its running magnitude (Hafner et al. 2023).

    Cross entropy learns the mean, however rare what makes most of it is, and is not led by what is far off.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.scale = network, ValueScale(smallest=_SMALLEST)
        for part in network.modules():
            if isinstance(part, FeatureHead):
                part.begin_with_zeros()  # the points are far apart: anything else would begin with large values

    def forward(self, *features: Any) -> Tensor:
        """The mean, on the scale of the targets: [..., 1]."""
        probabilities = torch.softmax(self.network(*features), dim=-1)
        return (TARGETS.decode(probabilities) * self.scale.magnitude).unsqueeze(-1)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross entropy [...] of logits [..., P] of the network to targets [...]."""
        coded = TARGETS.encode(target / self.scale.magnitude)
        return -(coded * functional.log_softmax(logits, dim=-1)).sum(-1)
