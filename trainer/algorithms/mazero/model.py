"""MAZero's model of a team: representation, dynamics and predictions put together, and what a search asks of them.

Axis legend: R rows (roots, nodes, or steps of windows), N agents, X what an agent sees, H width of a hidden state,
A actions, C bins of a support.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.mazero.networks import DYNAMICS, Consistency, ImageRepresentation, Representation, head
from trainer.algorithms.mazero.seeing import frame_size, seen_size
from trainer.algorithms.mazero.settings import MazeroModelSettings, SupportSettings
from trainer.algorithms.mazero.supports import Support
from trainer.nets.agentwise import per_agent
from trainer.nets.observation_scale import ObservationScale, on_scale, scale_of


@dataclass(frozen=True, kw_only=True)
class Step:
    """What the model says of a joint action."""

    hidden: Tensor
    """[R, N, H]: the next states."""
    reward: Tensor
    """[R, C]: logits of the team's reward."""


class MazeroModel(nn.Module):
    """A team's hidden states and what follows from them; of all, only `representation` and `policy` act alone."""

    def __init__(self, settings: MazeroModelSettings, spec: EnvironmentSpec) -> None:
        super().__init__()
        agents, actions, width, zero = spec.agents, spec.actions, settings.hidden, settings.zero_heads
        self.settings, self.agents, self.actions = settings, agents, actions
        self.value_support, self.reward_support = support(settings.value_support), support(settings.reward_support)
        representation = per_agent(lambda: _representation(settings, spec), agents=agents, shared=settings.shared)
        size = seen_size(settings, spec)
        self.representation = on_scale(representation, settings.observations, size=size, image=spec.image)
        self.dynamics = DYNAMICS[settings.structure](settings, agents=agents, actions=actions)
        # Of the next states, where the paper says of those before, as its released code does it.
        self.reward = head([agents * (width + actions), *settings.reward_layers, self.reward_support.bins], zero=zero)
        self.value = head([agents * width, *settings.value_layers, self.value_support.bins], zero=zero)
        self.policy = per_agent(
            lambda: head([width, *settings.policy_layers, actions], zero=zero), agents=agents, shared=settings.shared
        )
        self.consistency = Consistency(settings, agents=agents)

    @property
    def scale(self) -> ObservationScale | None:
        """Of what agents see, where the settings ask for one."""
        return scale_of(self.representation)

    def represent(self, seen: Tensor) -> Tensor:
        """[R, N, X] -> hidden states [R, N, H]."""
        hidden: Tensor = self.representation(seen)
        return hidden

    def advance(self, hidden: Tensor, action: Tensor) -> Step:
        """What joint actions int64 [R, N] lead to from hidden states [R, N, H]."""
        done = hidden.new_zeros(*action.shape, self.actions).scatter_(-1, action.unsqueeze(-1), 1.0)
        following = self.dynamics(hidden, done)
        return Step(hidden=following, reward=self.reward(torch.cat([following, done], dim=-1).flatten(-2)))

    def value_logits(self, hidden: Tensor) -> Tensor:
        """[R, N, H] -> [R, C]."""
        logits: Tensor = self.value(hidden.flatten(-2))
        return logits

    def policy_logits(self, hidden: Tensor) -> Tensor:
        """[R, N, H] -> [R, N, A]: each agent's from its own state."""
        logits: Tensor = self.policy(hidden)
        return logits

    def values(self, hidden: Tensor) -> Tensor:
        """Scalars [R] of hidden states [R, N, H]."""
        return self.value_support.decode(self.value_logits(hidden))


def _representation(settings: MazeroModelSettings, spec: EnvironmentSpec) -> nn.Module:
    seen = seen_size(settings, spec)
    if spec.image is None:
        return Representation(settings, seen=seen)
    return ImageRepresentation(settings, spec.image, frame=frame_size(settings, spec), seen=seen)


def support(settings: SupportSettings) -> Support:
    """The support that settings describe."""
    return Support(low=settings.low, high=settings.high)
