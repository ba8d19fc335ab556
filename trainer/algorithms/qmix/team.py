"""The team's value: the agents' network and what mixes their values, together online and together as target.

Axis legend: L rows of an episode, B episodes, N agents, A actions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.recurrent_network import RecurrentNetwork, RecurrentState
from trainer.algorithms.qmix.epsilon_greedy import EpsilonGreedy
from trainer.algorithms.qmix.mixer import make_mixer
from trainer.algorithms.qmix.settings import QmixSettings
from trainer.experience.columns import STATE
from trainer.experience.window import Window


class TeamValue(nn.Module):
    """Q_tot."""

    def __init__(self, settings: QmixSettings, spec: EnvironmentSpec) -> None:
        super().__init__()
        self.network = RecurrentNetwork(settings, spec, actions=EpsilonGreedy(spec.actions, settings.exploration.end))
        self.mixer = make_mixer(settings.mixer, spec, hidden=settings.hidden, image_channels=settings.image_channels)

    def agent_values(self, window: Window) -> Tensor:
        """Of all actions of every agent along whole episodes, [L, B, N, A]; illegal ones pushed down."""
        network, (length, batch) = self.network, window.first.shape
        nothing = network.initial_state(batch)
        carried = RecurrentState(hidden=nothing.hidden.expand(length, -1, -1, -1), action=window.action)
        begins = torch.zeros_like(window.first)
        begins[0] = True
        hidden = network.along(window.observation, carried, first=window.first, begins=begins)
        return network.actions.masked(network.head(hidden), window.action_mask)

    def mix(self, values: Tensor, window: Window) -> Tensor:
        """The team's value [L', B] of values [L', B, N] of single actions, at the first L' rows of a window."""
        rows, state = len(values), window.columns.get(STATE)
        mixed: Tensor = self.mixer(values, window.observation[:rows], None if state is None else state[:rows])
        return mixed

    @torch.no_grad()
    def follow(self, other: TeamValue, share: float) -> None:
        """Move by a share of the way to the weights of another one."""
        for mine, theirs in zip(self.parameters(), other.parameters(), strict=True):
            mine.lerp_(theirs, share)
