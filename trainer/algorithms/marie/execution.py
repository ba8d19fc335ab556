"""Acting with tokenizer and actor alone: one environment step of a team, and of a single agent as it is exported.

Axis legend: E copies of the environment, N agents, D observation, A entries of an action mask, P outputs of an actor,
H stacked reconstructions, F numbers that the policy reads, f numbers that a network reads of an action.

What an agent observes goes through the tokenizer, and the policy reads its last H reconstructions, as in imagination
(MARIE A.1, B).  Before an episode's first step there is nothing: zeros, not what the tokenizer makes of zeros.  Agents
exchange nothing.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from heliograph.manifest import StateTensor
from trainer.algorithms.marie.policy_reads import PolicyReads
from trainer.algorithms.marie.tokenizer import Tokenizer
from trainer.algorithms.step_function import StepFunction, silent_step
from trainer.nets.agentwise import own
from trainer.policy.distributions import ActionDistribution
from trainer.policy.draws import Draws


@dataclass(frozen=True, kw_only=True)
class TeamState:
    """What a team carries from step to step, each agent for itself."""

    history: Tensor
    """[E, N, H - 1, D]: the reconstructions before the newest, oldest first."""
    action: Tensor
    """[E, N, ...]: what it did last."""


@dataclass(frozen=True, kw_only=True)
class TeamDecision:
    features: Tensor
    """[E, N, F]: what the policy read."""
    logits: Tensor
    """[E, N, P]: what actions were drawn by, without what is illegal and at the temperature of execution."""
    state: TeamState

    @property
    def action(self) -> Tensor:
        """[E, N, ...]."""
        return self.state.action


@dataclass(frozen=True, kw_only=True)
class Team:
    """A `Policy`, and a `Behaviour` that adds nothing to it."""

    tokenizer: Tokenizer
    actor: nn.Module
    reads: PolicyReads
    temperature: float = 1.0
    """Of the policy when it acts; above 1 it explores more than in imagination (the released code's 2 on 3s_vs_5z)."""

    def __post_init__(self) -> None:
        """Raises SettingsError for a temperature of continuous actions, which have no logits to divide."""
        if self.temperature != 1.0 and self.reads.actions.shape:
            raise SettingsError(
                f"policy.temperature = {self.temperature:g} is of discrete actions, and this world's are continuous",
                remedy="Leave it at 1",
            )

    @property
    def noise_size(self) -> int:
        return self.reads.actions.noise

    def columns(self, _state: TeamState) -> dict[str, Tensor]:
        return {}

    def initial_state(self, copies: int) -> TeamState:
        """The state before a first step; its content does not matter."""
        reads, like = self.reads, self.tokenizer.discretiser.codes
        return TeamState(
            history=like.new_zeros(copies, reads.agents, reads.stack - 1, reads.observation_size),
            action=torch.zeros(
                copies, reads.agents, *reads.actions.shape, dtype=reads.actions.dtype, device=like.device
            ),
        )

    def act(
        self,
        state: TeamState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, TeamState]:
        decision = self.decide(state, observation=observation, action_mask=action_mask, first=first, draws=draws)
        return decision.action, decision.state

    @torch.no_grad()
    def decide(
        self, state: TeamState, *, observation: Tensor, action_mask: Tensor, first: Tensor, draws: Draws
    ) -> TeamDecision:
        """For all agents of all copies: observation [E, N, D], action_mask bool [E, N, A], first bool [E]."""
        before = state.history.masked_fill(first[:, None, None, None], 0.0)
        newest = self.reads.seen(self.tokenizer, observation)
        stack = torch.cat([before, newest.unsqueeze(-2)], dim=-2)  # [E, N, H, D]
        features = self.reads.features(stack, action=state.action, first=first)
        logits = _logits(self.actor(features), action_mask, self.reads.actions, self.temperature)
        action = draws.action(logits, self.reads.actions)
        return TeamDecision(features=features, logits=logits, state=TeamState(history=stack[:, :, 1:], action=action))


class AgentStep(nn.Module):
    """The step function of one slot, as it is exported; its history and its action are state to it, as far as the
    policy reads them."""

    def __init__(self, team: Team, *, slot: int) -> None:
        super().__init__()
        self.reads, self.temperature = team.reads, team.temperature
        self.tokenizer, self.actor = team.tokenizer, own(team.actor, slot)
        self.register_buffer("identity", torch.eye(self.reads.agents)[slot])
        self.identity: Tensor

    @property
    def state(self) -> tuple[StateTensor, ...]:
        """What it carries from step to step, in the order in which it takes and returns it."""
        reads, carried = self.reads, []
        if reads.stack > 1:
            carried.append(StateTensor(name="history", shape=(reads.stack - 1, reads.observation_size)))
        if reads.last_action:
            carried.append(StateTensor(name="done", shape=(reads.actions.features,)))
        return tuple(carried)

    # The inputs of a bundle's graph, in their order (docs/bundle.md); what is carried, and how much, depends.
    def forward(
        self, observation: Tensor, action_mask: Tensor, first: Tensor, greedy: Tensor, *carried_and_noise: Tensor
    ) -> tuple[Tensor, ...]:
        """Action (int32 [] or float [k]), logits [P], then the history [H - 1, D] and what there is to read of the
        action [f], for the next step."""
        reads, actions = self.reads, self.reads.actions
        *carried, noise = carried_and_noise
        keep = torch.where(first, 0.0, 1.0).to(observation.dtype)
        stack = reads.seen(self.tokenizer, observation).unsqueeze(0)  # [1, D]
        if reads.stack > 1:
            stack = torch.cat([carried[0] * keep, stack])  # [H, D]
        parts = [stack.flatten()]
        if reads.agent:
            parts.append(self.identity)
        if reads.last_action:
            parts.append(carried[-1] * keep)
        logits = _logits(self.actor(torch.cat(parts)), action_mask, actions, self.temperature)
        action = torch.where(greedy, actions.mode(logits), actions.sample(logits, noise))
        following = [stack[1:]] if reads.stack > 1 else []
        if reads.last_action:
            following.append(actions.read(action).to(observation.dtype))
        return action.to(actions.executed_dtype), logits, *following


def agent_step(team: Team, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
    """What agent `slot` runs on its own."""
    copy = Team(
        # Copies on the CPU, where nodes run; training may go on elsewhere with the originals.
        tokenizer=deepcopy(team.tokenizer).cpu(),
        actor=deepcopy(team.actor).cpu(),
        reads=team.reads,
        temperature=team.temperature,
    )
    module = AgentStep(copy, slot=slot)
    return silent_step(module, spec, state=module.state, noise_size=team.noise_size)


def _logits(outputs: Tensor, action_mask: Tensor, actions: ActionDistribution, temperature: float) -> Tensor:
    masked = actions.masked(outputs, action_mask)
    return masked if temperature == 1.0 else masked / temperature
