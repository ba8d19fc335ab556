"""Agents that remember, know who they are, and hear nobody: one recurrent network that several of them share.

Axis legend: E copies, N agents, D observation, A entries of an action mask, P outputs of an actor, F numbers that a
network reads of an action, G recurrent size, H width; L rows of a sequence, Q sequences.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from trainer.algorithms.model_free.settings import RecurrentSettings
from trainer.algorithms.step_function import StepFunction, silent_step
from trainer.nets.observations import observation_encoder
from trainer.nets.perceptron import perceptron
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import Draws


@dataclass(frozen=True, kw_only=True)
class RecurrentState:
    """What the agents carry from step to step, each for itself."""

    hidden: Tensor
    """[E, N, G]."""
    action: Tensor
    """[E, N, ...]: what it did last."""


class RecurrentNetwork(nn.Module):
    """h_t = GRU(o_t, a_{t-1}, h_{t-1}), and outputs of `actions` from h_t; a `Policy`."""

    def __init__(
        self,
        settings: RecurrentSettings,
        spec: EnvironmentSpec,
        *,
        actions: ActionDistribution,
        agents: int | None = None,
    ) -> None:
        """`agents` share it; None: those of the spec."""
        super().__init__()
        self.actions, self.recurrent = actions, settings.recurrent
        self.agents = spec.agents if agents is None else agents
        hidden, recurrent = settings.hidden, settings.recurrent
        self.encoder = observation_encoder(
            spec.observation_size,
            [hidden, hidden],
            image=spec.image,
            channels=settings.image_channels,
            extra=self.agents,
        )
        self.cell = nn.GRUCell(hidden + actions.features, recurrent)
        self.head = perceptron([recurrent, hidden, actions.outputs], nn.ReLU)
        self.register_buffer("identity", torch.eye(self.agents), persistent=False)
        self.identity: Tensor

    @property
    def noise_size(self) -> int:
        return self.actions.noise

    def initial_state(self, copies: int) -> RecurrentState:
        """The state before a first step; its content does not matter."""
        shape, device = (copies, self.agents), self.identity.device
        return RecurrentState(
            hidden=torch.zeros(*shape, self.recurrent, device=device),
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
        outputs, hidden = self.advance(state, observation, action_mask, first)
        action = draws.action(outputs, self.actions)
        return action, RecurrentState(hidden=hidden, action=action)

    def advance(
        self, state: RecurrentState, observation: Tensor, action_mask: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Outputs [E, N, P] of a step, without what is illegal, and the recurrent state [E, N, G] after it."""
        hidden = self.recur(self.seen(observation), state, first)
        return self.actions.masked(self.head(hidden), action_mask), hidden

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

    def along(self, observation: Tensor, carried: RecurrentState, *, first: Tensor, begins: Tensor) -> Tensor:
        """Recurrent states [L, Q, N, G] along sequences [L, Q, N, D]; `first` and `begins` are bool [L, Q].

        What is `carried` [L, Q, N, ...] into a row is taken from there where the row `begins`; elsewhere its hidden
        state follows from the row before, through which gradients go.
        """
        seen, hidden, rows = self.seen(observation), carried.hidden[0], []
        for row, starts in enumerate(begins[..., None, None]):
            before = RecurrentState(hidden=torch.where(starts, carried.hidden[row], hidden), action=carried.action[row])
            hidden = self.recur(seen[row], before, first[row])
            rows.append(hidden)
        return torch.stack(rows)

    def step_function(self, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
        """What the agent at `slot` of those that share it runs on its own."""
        state = (
            StateTensor(name="hidden", shape=(self.recurrent,)),
            StateTensor(name="action", shape=(self.actions.features,)),
        )
        # A copy on the CPU, where nodes run; training may go on elsewhere with the original.
        alone = RecurrentStep(deepcopy(self).cpu(), slot=slot)
        return silent_step(alone, spec, state=state, noise_size=self.noise_size)


class RecurrentStep(nn.Module):
    """The step function of one slot, as it is exported; its action is state to it, as nobody sends it back."""

    def __init__(self, network: RecurrentNetwork, *, slot: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("identity", network.identity[slot].clone())
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
        network, actions = self.network, self.network.actions
        keep = torch.where(first, 0.0, 1.0).to(hidden.dtype)
        seen = torch.relu(network.encoder(torch.cat([observation, self.identity])))
        inputs = torch.cat([seen, done * keep]).unsqueeze(0)  # [1, H + F]
        hidden = network.cell(inputs, (hidden * keep).unsqueeze(0))  # [1, G]
        logits = actions.masked(network.head(hidden).squeeze(0), action_mask)
        action = torch.where(greedy, actions.mode(logits), actions.sample(logits, noise))
        return action.to(actions.executed_dtype), logits, hidden.squeeze(0), actions.read(action).to(hidden.dtype)
