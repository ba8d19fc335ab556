"""MAPPO's actor: a recurrent network that all agents share and that knows who it is; it hears nobody.

Axis legend: E copies, N agents, D observation, A entries of an action mask, P outputs of an actor, F numbers that a
network reads of an action, G recurrent size, H width; L rows of a sequence, Q sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.agent_network import AgentNetwork
from trainer.algorithms.model_free.carried import CARRIED, packed, unpacked
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.nets.observations import observation_encoder
from trainer.nets.perceptron import linear_layer, perceptron
from trainer.policy.distributions import action_distribution
from trainer.policy.draws import Draws

FIRST_OUTPUT_SCALE = 0.01
"""Of the last layer, so that a policy begins near the uniform one (MAPPO's gain)."""


@dataclass(frozen=True, kw_only=True)
class RecurrentState:
    """What the agents carry from step to step, each for itself."""

    hidden: Tensor
    """[E, N, G]."""
    action: Tensor
    """[E, N, ...]: what it did last."""


class RecurrentPolicy(AgentNetwork):
    """h_t = GRU(o_t, a_{t-1}, h_{t-1}), and an action from h_t."""

    def __init__(self, settings: MappoSettings, spec: EnvironmentSpec) -> None:
        super().__init__()
        self.settings, self.agents = settings, spec.agents
        self.actions = action_distribution(spec)
        hidden, recurrent = settings.hidden, settings.recurrent
        self.encoder = observation_encoder(
            spec.observation_size,
            [hidden, hidden],
            image=spec.image,
            channels=settings.image_channels,
            extra=spec.agents,
        )
        self.cell = nn.GRUCell(hidden + self.actions.features, recurrent)
        self.head = perceptron([recurrent, hidden, self.actions.outputs], nn.ReLU)
        with torch.no_grad():
            linear_layer(self.head, -1).weight.mul_(FIRST_OUTPUT_SCALE)
        self.register_buffer("identity", torch.eye(spec.agents), persistent=False)
        self.identity: Tensor

    def initial_state(self, copies: int) -> RecurrentState:
        """The state before a first step; its content does not matter."""
        shape, device = (copies, self.agents), self.identity.device
        return RecurrentState(
            hidden=torch.zeros(*shape, self.settings.recurrent, device=device),
            action=torch.zeros(*shape, *self.actions.shape, dtype=self.actions.dtype, device=device),
        )

    @torch.no_grad()
    def act(
        self,
        state: RecurrentState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, RecurrentState]:
        hidden = self.recur(self.seen(observation), state, first)
        action = draws.action(self.actions.masked(self.head(hidden), action_mask), self.actions)
        return action, RecurrentState(hidden=hidden, action=action)

    def columns(self, state: RecurrentState) -> dict[str, Tensor]:
        return {CARRIED: packed(state)}

    @property
    def noise_size(self) -> int:
        return self.actions.noise

    def outputs(self, sequences: Sequences) -> Tensor:
        """See AgentNetwork."""
        seen = self.seen(sequences.observation)
        carried = unpacked(self.initial_state(1), sequences.carried_in)
        hidden, rows = carried.hidden[0], []
        for row, first in enumerate(sequences.first):
            begins = sequences.begins[row].reshape(-1, 1, 1)
            before = RecurrentState(hidden=torch.where(begins, carried.hidden[row], hidden), action=carried.action[row])
            hidden = self.recur(seen[row], before, first)
            rows.append(hidden)
        return self.actions.masked(self.head(torch.stack(rows)), sequences.action_mask)

    def seen(self, observation: Tensor) -> Tensor:
        """What the cell reads of observations [..., N, D]; [..., N, H]."""
        identity = self.identity.expand(*observation.shape[:-1], self.agents)
        return torch.relu(self.encoder(torch.cat([observation, identity], dim=-1)))

    def recur(self, seen: Tensor, state: RecurrentState, first: Tensor) -> Tensor:
        """The next recurrent state [E, N, G]; at a `first` step, bool [E], what was carried counts as zero."""
        keep = (~first).to(seen.dtype).reshape(-1, 1, 1)
        inputs = torch.cat([seen, self.actions.read(state.action).to(seen.dtype) * keep], dim=-1)
        hidden: Tensor = self.cell(inputs.flatten(0, 1), (state.hidden * keep).flatten(0, 1))
        following: Tensor = hidden.unflatten(0, seen.shape[:2])
        return following


class RecurrentStep(nn.Module):
    """The step function of one slot, as it is exported; its action is state to it, as nobody sends it back."""

    def __init__(self, policy: RecurrentPolicy, *, slot: int) -> None:
        super().__init__()
        self.policy = policy
        self.register_buffer("identity", policy.identity[slot].clone())
        self.identity: Tensor

    # Seven parameters: the inputs of a bundle's graph, in their order (docs/bundle.md).
    def forward(
        self,
        observation: Tensor,
        action_mask: Tensor,
        first: Tensor,
        greedy: Tensor,
        hidden: Tensor,
        done: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Action (int32 [] or float [k]), logits [P], the next recurrent state [G] and what there is to read of the
        action [F]."""
        policy, actions = self.policy, self.policy.actions
        keep = torch.where(first, 0.0, 1.0).to(hidden.dtype)
        seen = torch.relu(policy.encoder(torch.cat([observation, self.identity])))
        inputs = torch.cat([seen, done * keep]).unsqueeze(0)  # [1, H + F]
        hidden = policy.cell(inputs, (hidden * keep).unsqueeze(0))  # [1, G]
        logits = actions.masked(policy.head(hidden).squeeze(0), action_mask)
        action = torch.where(greedy, actions.mode(logits), actions.sample(logits, noise))
        return action.to(actions.executed_dtype), logits, hidden.squeeze(0), actions.read(action).to(hidden.dtype)
