"""Acting without a search: what every agent does on its own, by its own hidden state and policy head.

Axis legend: E copies of the environment, N agents, F frames, O numbers of a frame, X what an agent sees, D observation,
A actions.

Nothing is exchanged; communication, reward and value belong to the search alone.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.seeing import frame_size, remembered, seen
from trainer.algorithms.step_function import StepFunction, silent_step
from trainer.nets.agentwise import own
from trainer.policy.distributions import Categorical
from trainer.policy.draws import Draws


@dataclass(frozen=True, kw_only=True)
class SeenState:
    """What a team carries from step to step, each agent its own."""

    frames: Tensor
    """[E, N, F, O], oldest first."""
    done: Tensor
    """int64 [E, N]: its last action."""


@dataclass(frozen=True, kw_only=True)
class Team:
    """A `Policy`."""

    model: MazeroModel
    spec: EnvironmentSpec

    @property
    def noise_size(self) -> int:
        return Categorical(self.spec.actions).noise

    def initial_state(self, copies: int) -> SeenState:
        """Its content does not matter."""
        settings, like, agents = self.model.settings, next(self.model.parameters()), self.spec.agents
        size = (copies, agents, settings.frames, frame_size(settings, self.spec))
        return SeenState(
            frames=like.new_zeros(size), done=torch.zeros(copies, agents, dtype=torch.int64, device=like.device)
        )

    @torch.no_grad()
    def act(
        self,
        state: SeenState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, SeenState]:
        model, actions = self.model, Categorical(self.spec.actions)
        frames = remembered(model.settings, state.frames, state.done, observation, first, self.spec.actions)
        logits = model.policy_logits(model.represent(seen(model.settings, frames)))
        action = draws.action(actions.masked(logits, action_mask), actions)
        return action, SeenState(frames=frames, done=action)


class OwnNetworks(nn.Module):
    """Those that one agent needs, out of a team's."""

    def __init__(self, model: MazeroModel, *, slot: int) -> None:
        super().__init__()
        self.settings, self.actions = model.settings, Categorical(model.actions)
        self.representation, self.policy = own(model.representation, slot), own(model.policy, slot)
        identity = torch.eye(model.agents)[slot] if model.settings.agent_identity else torch.zeros(0)
        self.register_buffer("identity", identity)
        self.identity: Tensor

    def decide(self, frames: Tensor, action_mask: Tensor, greedy: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Action int64 [] and logits [A] from the own frames, flat [F * O]."""
        hidden = self.representation(torch.cat([frames, self.identity]).unsqueeze(0))
        logits = self.actions.masked(self.policy(hidden).squeeze(0), action_mask)
        return torch.where(greedy, self.actions.mode(logits), self.actions.sample(logits, noise)), logits


class BareStep(OwnNetworks):
    """The step function of an agent that sees no more than its observation."""

    def forward(
        self, observation: Tensor, action_mask: Tensor, first: Tensor, greedy: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Action int32 [] and logits [A]."""
        action, logits = self.decide(observation, action_mask, greedy, noise)
        return action.to(self.actions.executed_dtype), logits


class RememberingStep(OwnNetworks):
    """The step function of an agent that also sees frames of before, or what it did."""

    # Seven parameters: the inputs of a bundle's graph, in their order (docs/bundle.md).
    def forward(
        self,
        observation: Tensor,
        action_mask: Tensor,
        first: Tensor,
        greedy: Tensor,
        frames: Tensor,
        done: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Action int32 [], logits [A], the frames [F, O] and the action, one-hot [A]."""
        newest = observation
        if self.settings.last_action:
            newest = torch.cat([observation, done * torch.where(first, 0.0, 1.0).to(done.dtype)])
        shifted = torch.cat([frames[1:], newest.unsqueeze(0)])
        frames = torch.where(first, newest.unsqueeze(0).expand(shifted.shape), shifted)
        action, logits = self.decide(frames.flatten(), action_mask, greedy, noise)
        following = functional.one_hot(action, self.actions.count).to(done.dtype)
        return action.to(self.actions.executed_dtype), logits, frames, following


def agent_step(model: MazeroModel, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
    """What agent `slot` runs on its own."""
    settings = model.settings
    # A copy on the CPU, where nodes run; training may go on elsewhere with the original.
    alone, noise_size = deepcopy(model).cpu(), Categorical(spec.actions).noise
    if settings.frames == 1 and not settings.last_action:
        bare = silent_step(BareStep(alone, slot=slot), spec, state=(), noise_size=noise_size)
        return replace(bare, planning_size=settings.hidden)
    state = (
        StateTensor(name="frames", shape=(settings.frames, frame_size(settings, spec))),
        StateTensor(name="action", shape=(spec.actions,)),
    )
    remembering = silent_step(RememberingStep(alone, slot=slot), spec, state=state, noise_size=noise_size)
    return replace(remembering, planning_size=settings.hidden)
