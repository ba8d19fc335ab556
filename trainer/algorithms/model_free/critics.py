"""Critics: central ones, which see what all agents see or more, and one that sees what its agent sees; training only.

Axis legend: D observation, S global state, N agents, H width; [...] any leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.nets.communication import CommunicationBlock
from trainer.nets.observations import observation_encoder
from trainer.nets.perceptron import perceptron


class CentralCritic(nn.Module):
    """Value of every agent from the simulator's global state, or where it has none from all observations; and from the
    agent's own observation and identity (MAPPO's agent-specific global state)."""

    def __init__(self, spec: EnvironmentSpec, *, hidden: int, image_channels: int = 16) -> None:
        super().__init__()
        seen = spec.observation_size
        self.embed: nn.Module | None = None
        if spec.image is not None:
            self.embed = observation_encoder(seen, [hidden], image=spec.image, channels=image_channels)
            seen = hidden
        central = spec.state_size or spec.agents * seen
        self.out = perceptron([central + seen + spec.agents, hidden, hidden, hidden, 1], nn.ReLU)
        self.register_buffer("identity", torch.eye(spec.agents), persistent=False)
        self.identity: Tensor

    def forward(self, observation: Tensor, state: Tensor | None) -> Tensor:
        """observation [..., N, D], state [..., S] -> values [..., N]."""
        agents = observation.shape[-2]
        if self.embed is not None:
            observation = torch.relu(self.embed(observation))
        central = observation.flatten(-2) if state is None else state
        shared = central.unsqueeze(-2).expand(*observation.shape[:-1], -1)
        identity = self.identity.expand(*observation.shape[:-2], agents, agents)
        values: Tensor = self.out(torch.cat([shared, observation, identity], dim=-1)).squeeze(-1)
        return values


class OwnCritic(nn.Module):
    """Value of every agent from its own observation and identity alone (IPPO)."""

    def __init__(self, spec: EnvironmentSpec, *, hidden: int, image_channels: int = 16) -> None:
        super().__init__()
        self.embed = observation_encoder(
            spec.observation_size, [hidden, hidden], image=spec.image, channels=image_channels, extra=spec.agents
        )
        self.out = perceptron([hidden, hidden, 1], nn.ReLU)
        self.register_buffer("identity", torch.eye(spec.agents), persistent=False)
        self.identity: Tensor

    def forward(self, observation: Tensor, _state: Tensor | None) -> Tensor:
        """observation [..., N, D] -> values [..., N]."""
        agents = observation.shape[-2]
        identity = self.identity.expand(*observation.shape[:-2], agents, agents)
        values: Tensor = self.out(torch.relu(self.embed(torch.cat([observation, identity], dim=-1)))).squeeze(-1)
        return values


class ObservationAttentionCritic(nn.Module):
    """Value of every agent from all observations, through one attention layer (MAG, "Baselines")."""

    def __init__(
        self, spec: EnvironmentSpec, *, hidden: int, heads: int, position_scale: float, image_channels: int = 16
    ) -> None:
        super().__init__()
        self.embed = observation_encoder(
            spec.observation_size, [hidden, hidden], image=spec.image, channels=image_channels
        )
        self.attention = CommunicationBlock(
            agents=spec.agents, width=hidden, layers=1, heads=heads, dropout=0.0, position_scale=position_scale
        )
        self.out = perceptron([hidden, hidden, 1], nn.ReLU)

    def forward(self, observation: Tensor, _state: Tensor | None) -> Tensor:
        """observation [..., N, D] -> values [..., N]."""
        tokens = torch.relu(self.embed(observation.flatten(0, -3)))
        rows = torch.relu(self.attention.complete(tokens))
        values: Tensor = self.out(rows).squeeze(-1).unflatten(0, observation.shape[:-2])
        return values
