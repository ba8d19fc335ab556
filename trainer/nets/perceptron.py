"""Multi-layer perceptrons, over dense inputs and over [latent, dense] features."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from trainer.nets.latent import LatentLinear
from trainer.nets.settings import LatentSettings

Activation = Callable[[], nn.Module]


def perceptron(sizes: list[int], activation: Activation) -> nn.Sequential:
    """Linear layers sizes[0] -> ... -> sizes[-1] with an activation between them and none after the last.

    Weights are Xavier-uniform, biases keep the framework's default (MAMBA's released code).
    """
    layers: list[nn.Module] = []
    for index, (width_in, width_out) in enumerate(pairwise(sizes)):
        if index:
            layers.append(activation())
        linear = nn.Linear(width_in, width_out)
        nn.init.xavier_uniform_(linear.weight)
        layers.append(linear)
    return nn.Sequential(*layers)


def linear_layer(network: nn.Sequential, index: int) -> nn.Linear:
    """The layer at a place of a perceptron, where there is a linear one."""
    layer = network[index]
    assert isinstance(layer, nn.Linear)
    return layer


class FeatureHead(nn.Module):
    """Perceptron whose input is the feature [latent one-hots, dense]; `layers` counts its hidden layers."""

    # Seven parameters: the sizes of a network, each by its name.
    def __init__(
        self,
        *,
        categoricals: int,
        classes: int,
        dense: int,
        hidden: int,
        out: int,
        activation: Activation,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.first = LatentLinear(categoricals=categoricals, classes=classes, dense=dense, out=hidden)
        self.activation = activation()
        self.rest = perceptron([hidden] * layers + [out], activation)

    def forward(self, ids: Tensor, dense: Tensor, probabilities: Tensor | None = None) -> Tensor:
        """ids [..., K], dense [..., D_in] -> [..., out]."""
        outputs: Tensor = self.rest(self.activation(self.first(ids, dense, probabilities)))
        return outputs

    def begin_with_zeros(self) -> None:
        """Let all outputs be 0 at first."""
        last = linear_layer(self.rest, -1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def orthogonal(self) -> None:
        """Initialise all weights orthogonally with gain 1 (MAMBA's actor)."""
        self.first.reset(nn.init.orthogonal_)
        for layer in self.rest:
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight)


class SeeingHead(FeatureHead):
    """One that reads what is observed, too."""

    def forward(self, ids: Tensor, deter: Tensor, seen: Tensor) -> Tensor:  # type: ignore[override]  # no probabilities
        """ids [..., K], deter [..., G], seen [..., D] -> [..., out]."""
        return super().forward(ids, torch.cat([deter, seen], dim=-1))


def prediction_head(settings: LatentSettings, *, out: int, activation: Activation, seen: int = 0) -> FeatureHead:
    """Two hidden layers over [z, h], and over as many observed numbers."""
    return (SeeingHead if seen else FeatureHead)(
        categoricals=settings.categoricals,
        classes=settings.classes,
        dense=settings.recurrent + seen,
        hidden=settings.hidden,
        out=out,
        activation=activation,
    )
