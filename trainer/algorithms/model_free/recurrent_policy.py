"""MAPPO's actor: a recurrent network that all agents share and that knows who it is; it hears nobody.

Axis legend: N agents, P outputs of an actor; L rows of a sequence, Q sequences.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.agent_network import AgentNetwork
from trainer.algorithms.model_free.carried import CARRIED, packed, unpacked
from trainer.algorithms.model_free.recurrent_network import RecurrentNetwork, RecurrentState
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import RecurrentSettings
from trainer.nets.perceptron import linear_layer
from trainer.policy.distributions import action_distribution

FIRST_OUTPUT_SCALE = 0.01
"""Of the last layer, so that a policy begins near the uniform one (MAPPO's gain)."""


class RecurrentPolicy(RecurrentNetwork, AgentNetwork):
    """An action is drawn from a distribution that follows from h_t."""

    def __init__(self, settings: RecurrentSettings, spec: EnvironmentSpec, *, agents: int | None = None) -> None:
        """`agents` share it; None: those of the spec."""
        super().__init__(settings, spec, actions=action_distribution(spec), agents=agents)
        with torch.no_grad():
            linear_layer(self.head, -1).weight.mul_(FIRST_OUTPUT_SCALE)

    def columns(self, state: RecurrentState) -> dict[str, Tensor]:
        return {CARRIED: packed(state)}

    def outputs(self, sequences: Sequences) -> Tensor:
        """See AgentNetwork."""
        carried = unpacked(self.initial_state(1), sequences.carried_in)
        hidden = self.along(sequences.observation, carried, first=sequences.first, begins=sequences.begins)
        return self.actions.masked(self.head(hidden), sequences.action_mask)
