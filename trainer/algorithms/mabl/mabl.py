"""MABL: bi-level latent-variable world model for sample-efficient multi-agent RL (Venugopal et al. 2024).

A global latent above each agent's own takes in what is known in training alone (§3.1); model (§3.2), actor and critic
(§3.3) learn from both levels.  At execution an agent computes the lower one from what it sees itself: it hears nobody.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from trainer.algorithms.dreamer.agent_steps import SilentStep
from trainer.algorithms.dreamer.dreamer import Dreamer, show_observations
from trainer.algorithms.dreamer.execution import Team
from trainer.algorithms.mabl.settings import MablSettings
from trainer.algorithms.step_function import StepFunction, silent_step
from trainer.experience.columns import Column, state_column
from trainer.nets.level import GLOBAL, Level
from trainer.nets.perceptron import prediction_head
from trainer.policy.actor_critic import AttentionCritic
from trainer.policy.distributions import action_distribution
from trainer.world_model.bilevel import BilevelModel
from trainer.world_model.bilevel_imagination import BilevelImagination


class Mabl(Dreamer):
    """An `Algorithm`."""

    name = "mabl"
    model: BilevelModel
    actor: Level

    def __init__(
        self, settings: MablSettings, spec: EnvironmentSpec, *, device: torch.device, compile_mode: str = "off"
    ) -> None:
        actions = action_distribution(spec)
        model = BilevelModel(
            settings.model,
            agents=spec.agents,
            observation_size=spec.observation_size,
            state_size=spec.state_size,
            actions=actions,
            action_masks=spec.has_action_mask,
            image=spec.image,
        )
        seen = show_observations(settings, model, spec)
        # Initialised like every other head, where MAMBA's actor is orthogonal.
        actor = model.of_level(
            prediction_head(settings.model, out=actions.outputs, activation=nn.ReLU, seen=seen), seeing=seen > 0
        )
        super().__init__(
            settings,
            spec,
            model=model,
            actor=actor,
            critic=make_critic(settings, model, agents=spec.agents, seen=seen),
            team=Team(model=model, actor=actor.network, agents=spec.agents),
            device=device,
            compile_mode=compile_mode,
        )

    def columns(self) -> dict[str, Column]:
        return state_column(self.spec)

    def imagination(self) -> BilevelImagination:
        return BilevelImagination(model=self.model, actor=self.actor, settings=self.settings.policy, draws=self.draws)

    def step_function(self, slot: int) -> StepFunction:
        return silent_step(
            SilentStep(deepcopy(self.model).cpu(), deepcopy(self.actor.network).cpu()),
            self.spec,
            state=(StateTensor(name="deter", shape=(self.settings.model.recurrent,)),),
            noise_size=self.policy().noise_size,
        )


def make_critic(settings: MablSettings, model: BilevelModel, *, agents: int, seen: int = 0) -> nn.Module:
    """Values of all agents from the features of the team (MABL §3.3), and from as many observed numbers of each."""
    heads = settings.policy.critic_heads
    if settings.critic == "global" and model.above is not None:
        critic = AttentionCritic(settings.model, agents=agents, heads=heads, seen=seen)
        return model.of_level(critic, level=GLOBAL, seeing=seen > 0)
    return AttentionCritic(settings.model.feature, agents=agents, heads=heads, seen=seen)
