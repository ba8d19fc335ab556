"""A recurrent policy of every agent's own behind the interface of one that all share.

Axis legend: E copies, N agents, P outputs of an actor; L rows of a sequence, Q sequences.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.agent_network import AgentNetwork
from trainer.algorithms.model_free.carried import CARRIED, packed
from trainer.algorithms.model_free.recurrent_network import RecurrentState
from trainer.algorithms.model_free.recurrent_policy import RecurrentPolicy
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import RecurrentSettings
from trainer.policy.draws import Draws


class OwnPolicies(AgentNetwork):
    """`each[i]` is that of agent i alone, and is what it runs."""

    def __init__(self, settings: RecurrentSettings, spec: EnvironmentSpec) -> None:
        super().__init__()
        self.members = nn.ModuleList(RecurrentPolicy(settings, spec, agents=1) for _ in range(spec.agents))
        self.actions = self.each[0].actions

    @property
    def each(self) -> Sequence[RecurrentPolicy]:
        """By slot."""
        return list(self.members)  # type: ignore[arg-type]  # a ModuleList forgets of what kind it was made

    @property
    def noise_size(self) -> int:
        return self.actions.noise

    def initial_state(self, copies: int) -> RecurrentState:
        """See Actor."""
        return _joined([member.initial_state(copies) for member in self.each])

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
        results = []
        for slot, member in enumerate(self.each):
            own = slice(slot, slot + 1)
            carried = RecurrentState(hidden=state.hidden[:, own], action=state.action[:, own])
            results.append(member.advance(carried, observation[:, own], action_mask[:, own], first))
        outputs, hidden = (torch.cat(parts, dim=1) for parts in zip(*results, strict=True))
        # All at once, since an agent's numbers are those of its place in the team.
        action = draws.action(outputs, self.actions)
        return action, RecurrentState(hidden=hidden, action=action)

    def columns(self, state: RecurrentState) -> dict[str, Tensor]:
        return {CARRIED: packed(state)}

    def outputs(self, sequences: Sequences) -> Tensor:
        """See AgentNetwork."""
        return torch.cat([member.outputs(sequences.of(slot)) for slot, member in enumerate(self.each)], dim=2)


def _joined(states: Sequence[RecurrentState]) -> RecurrentState:
    """One state of all agents of states of one agent each."""
    return RecurrentState(
        hidden=torch.cat([state.hidden for state in states], dim=1),
        action=torch.cat([state.action for state in states], dim=1),
    )
