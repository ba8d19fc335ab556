"""How the values of the agents' own actions become the value of the joint action; training only.

Axis legend: N agents, D observation, S global state, M mixing width; [...] any leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.qmix.settings import MixerSettings
from trainer.nets.observations import team_encoder
from trainer.nets.perceptron import perceptron
from trainer.nets.value_codes import symlog


class SumMixer(nn.Module):
    """VDN (Sunehag et al. 2018): the team's value is the sum."""

    def forward(self, values: Tensor, observation: Tensor, state: Tensor | None) -> Tensor:
        """values [..., N] -> [...]; reads nothing else."""
        return values.sum(-1)


class MonotonicMixer(nn.Module):
    """QMIX (Rashid et al. 2018, §4): a network whose weights the state makes, and whose absolute values are used, so
    that the team's value never falls where an agent's rises; its biases and what the state is worth have any sign.

    The state is the simulator's, or where it has none what all agents observe.
    """

    def __init__(
        self, settings: MixerSettings, spec: EnvironmentSpec, *, hidden: int, image_channels: int = 16
    ) -> None:
        super().__init__()
        agents, width = spec.agents, settings.width
        self.squashes = settings.state == "squashed"
        self.agents, self.width = agents, width
        self.embed: nn.Module | None = None
        read = spec.state_size or agents * spec.observation_size
        if not spec.state_size and spec.image is not None:
            self.embed = team_encoder(
                spec.observation_size, [hidden, hidden], agents=agents, image=spec.image, channels=image_channels
            )
            read = hidden
        inner = [settings.hypernetwork] if settings.hypernetwork else []
        self.first_weights = perceptron([read, *inner, agents * width], nn.ReLU)
        self.first_bias = perceptron([read, width], nn.ReLU)
        self.last_weights = perceptron([read, *inner, width], nn.ReLU)
        self.last_bias = perceptron([read, width, 1], nn.ReLU)

    def forward(self, values: Tensor, observation: Tensor, state: Tensor | None) -> Tensor:
        """values [..., N], observation [..., N, D], state [..., S] -> [...]."""
        read = observation.flatten(-2) if state is None else state
        if self.embed is not None:
            read = torch.relu(self.embed(read))
        elif self.squashes:
            read = symlog(read)
        first = self.first_weights(read).abs().unflatten(-1, (self.agents, self.width))  # [..., N, M]
        mixed = functional.elu((values.unsqueeze(-2) @ first).squeeze(-2) + self.first_bias(read))  # [..., M]
        team: Tensor = (mixed * self.last_weights(read).abs()).sum(-1) + self.last_bias(read).squeeze(-1)
        return team


def make_mixer(settings: MixerSettings, spec: EnvironmentSpec, *, hidden: int, image_channels: int) -> nn.Module:
    """The mixer of a kind."""
    if settings.kind == "sum":
        return SumMixer()
    return MonotonicMixer(settings, spec, hidden=hidden, image_channels=image_channels)
