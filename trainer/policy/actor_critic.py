"""Actor and critic over latent features (MAMBA §3.3).

Axis legend: M joint rows, N agents, K categoricals, G recurrent size, H width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.nets.communication import CommunicationBlock
from trainer.nets.latent import LatentLinear
from trainer.nets.perceptron import FeatureHead, perceptron, prediction_head
from trainer.nets.settings import LatentSettings


def make_actor(settings: LatentSettings, *, outputs: int, seen: int = 0) -> FeatureHead:
    """Policy head [z, h] -> what a distribution of actions takes, from an agent's own feature alone; orthogonal
    initialisation.  With `seen` it reads as many observed numbers, too."""
    actor = prediction_head(settings, out=outputs, activation=nn.ReLU, seen=seen)
    actor.orthogonal()
    return actor


class AttentionCritic(nn.Module):
    """Value of every agent, from the features of the whole team through one attention layer; training only."""

    def __init__(self, settings: LatentSettings, *, agents: int, heads: int, seen: int = 0) -> None:
        """With `seen` it reads as many observed numbers of each agent, too."""
        super().__init__()
        hidden = settings.hidden
        self.embed = LatentLinear(
            categoricals=settings.categoricals, classes=settings.classes, dense=settings.recurrent + seen, out=hidden
        )
        self.attention = CommunicationBlock(
            agents=agents,
            width=hidden,
            layers=1,
            heads=heads,
            dropout=0.0,
            position_scale=settings.position_scale,
        )
        self.out = perceptron([hidden, hidden, 1], nn.ReLU)

    def forward(self, ids: Tensor, deter: Tensor, seen: Tensor | None = None) -> Tensor:
        """ids [M, N, K], deter [M, N, G], what is observed [M, N, D] if it is read -> values [M, N]."""
        dense = deter if seen is None else torch.cat([deter, seen], dim=-1)
        rows = torch.relu(self.attention.complete(torch.relu(self.embed(ids, dense))))
        values: Tensor = self.out(rows).squeeze(-1)
        return values
