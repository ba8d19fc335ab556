"""Actor and critic over reconstructed observations (MARIE §3.3, B).

Axis legend: M joint rows, N agents, F numbers that the policy reads, H width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.nets.communication import CommunicationBlock
from trainer.nets.perceptron import perceptron


def make_actor(features: int, *, hidden: int, outputs: int) -> nn.Sequential:
    """[..., F] -> what a distribution of actions takes, with orthogonal matrices."""
    actor = perceptron([features, hidden, hidden, outputs], nn.ReLU)
    for layer in actor:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
    return actor


class ReconstructionCritic(nn.Module):
    """Value of every agent from what all policies read, through one attention layer; training only."""

    def __init__(self, features: int, *, hidden: int, agents: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(features, hidden)
        nn.init.xavier_uniform_(self.embed.weight)
        self.attention = CommunicationBlock(agents=agents, width=hidden, layers=1, heads=heads, dropout=0.0)
        self.out = perceptron([hidden, hidden, 1], nn.ReLU)

    def forward(self, features: Tensor) -> Tensor:
        """[M, N, F] -> values [M, N]."""
        rows = torch.relu(self.attention.complete(torch.relu(self.embed(features))))
        values: Tensor = self.out(rows).squeeze(-1)
        return values
