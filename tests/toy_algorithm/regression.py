"""The toy: agents without memory or messages learn to do again what has been rewarded.

It declares a column that its behaviour fills in (how likely what was done was) and draws windows by priority.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from toy_algorithm.settings import RegressionSettings
from trainer.algorithms.step_function import StepFunction, silent_step
from trainer.experience.batch import ByPriority
from trainer.experience.columns import PRIORITY, Column, priority_column
from trainer.experience.replay import Replay
from trainer.nets.gradient_steps import adam, gradient_step
from trainer.policy.distributions import action_distribution
from trainer.policy.draws import Draws


@dataclass(frozen=True, kw_only=True)
class Done:
    likelihood: Tensor
    """[E, N], of what was done last."""


class LinearPolicy(nn.Module):
    """A `Policy` and a `Behaviour`."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        super().__init__()
        self.actions, self.agents = action_distribution(spec), spec.agents
        self.layer = nn.Linear(spec.observation_size, self.actions.outputs)

    @property
    def noise_size(self) -> int:
        return self.actions.noise

    def initial_state(self, copies: int) -> Done:
        return Done(likelihood=torch.zeros(copies, self.agents))

    @torch.no_grad()
    def act(
        self,
        state: Done,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, Done]:
        outputs = self.actions.masked(self.layer(observation), action_mask)
        action = draws.action(outputs, self.actions)
        return action, Done(likelihood=self.actions.log_probability(outputs, action).exp())

    def columns(self, state: Done) -> dict[str, Tensor]:
        return {"likelihood": state.likelihood}


class LinearStep(nn.Module):
    """The step function."""

    def __init__(self, policy: LinearPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(
        self, observation: Tensor, action_mask: Tensor, first: Tensor, greedy: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        actions = self.policy.actions
        logits = actions.masked(self.policy.layer(observation), action_mask)
        action = torch.where(greedy, actions.mode(logits), actions.sample(logits, noise))
        return action.to(actions.executed_dtype), logits


class Regression:
    """An `Algorithm`."""

    name = "regression"

    def __init__(self, settings: RegressionSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings, self.spec, self.device = settings, spec, device
        self.network = LinearPolicy(spec).to(device)
        self.actions = self.network.actions
        self.optimiser = adam(self.network, settings.learning_rate)

    def columns(self) -> dict[str, Column]:
        return {**priority_column(), "likelihood": Column(shape=(self.spec.agents,))}

    def behaviour(self) -> LinearPolicy:
        return self.network

    def policy(self) -> LinearPolicy:
        return self.network

    def update(self, replay: Replay, random: np.random.Generator) -> dict[str, float]:
        losses = []
        for _ in range(self.settings.updates):
            batch = replay.sample(random, length=2, by=ByPriority(correction=1.0), pad=True).to(self.device)
            window = batch.window
            outputs = self.actions.masked(self.network.layer(window.observation[0]), window.action_mask[0])
            worth = torch.exp(window.reward[1] / self.settings.temperature) * batch.weight.unsqueeze(-1)
            loss = -(worth * self.actions.log_probability(outputs, window.action[1])).mean()
            gradient_step("policy", self.network, self.optimiser, loss, clip=10.0)
            rare = 1 - window.columns["likelihood"][1].mean(-1)
            replay.update(batch.index.at(0), PRIORITY, 0.1 + rare)
            losses.append(float(loss.detach()))
        return {"regression/loss": float(np.mean(losses))}

    def step_function(self, slot: int) -> StepFunction:
        return silent_step(LinearStep(deepcopy(self.network).cpu()), self.spec, state=(), noise_size=self.actions.noise)

    def modules(self) -> dict[str, nn.Module]:
        return {"policy": self.network}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"policy": self.optimiser}

    def counters(self) -> dict[str, float]:
        return {}

    def restore_counters(self, counters: dict[str, float]) -> None:
        """There are none."""
