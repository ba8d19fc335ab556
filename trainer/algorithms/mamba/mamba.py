"""MAMBA: scalable multi-agent model-based reinforcement learning with discrete communication (Egorov & Shpilman 2022).

The world model learns from replay (§3.1), actor and critic learn in its imagination (§3.3), and at execution every
agent steps its own copy of the model with the messages (z, a) of those it hears (§3.2).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from heliograph.sending import Sending
from trainer.algorithms.dreamer.dreamer import Dreamer, show_observations
from trainer.algorithms.dreamer.execution import agent_step, messages
from trainer.algorithms.dreamer.lossy import make_team, with_links
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.algorithms.step_function import StepFunction
from trainer.experience.columns import Column
from trainer.experience.links import AGE, DOWN, FAULT, OF_EPISODE, SENT
from trainer.experience.window import Window
from trainer.nets.agentwise import per_agent
from trainer.nets.means import Means
from trainer.policy.actor_critic import AttentionCritic, make_actor
from trainer.policy.distributions import action_distribution
from trainer.policy.draws import Draws, RandomDraws
from trainer.world_model.imagination import Imagination, JointStates
from trainer.world_model.loss import WorldModelLoss
from trainer.world_model.model import WorldModel
from trainer.world_model.posteriors import Posteriors


class Mamba(Dreamer):
    """An `Algorithm`."""

    name = "mamba"

    def __init__(
        self, settings: MambaSettings, spec: EnvironmentSpec, *, device: torch.device, compile_mode: str = "off"
    ) -> None:
        _check_withholding(settings, spec)
        actions = action_distribution(spec)
        model = WorldModel(
            settings.model,
            agents=spec.agents,
            observation_size=spec.observation_size,
            actions=actions,
            action_masks=spec.has_action_mask,
            image=spec.image,
            channel=settings.channel,
            message=settings.message,
        )
        seen = show_observations(settings, model, spec)
        self.price = model.price
        self.channel = settings.channel
        actor = per_agent(
            lambda: make_actor(settings.model, outputs=actions.outputs, seen=seen),
            agents=spec.agents,
            shared=settings.model.shared,
        )
        super().__init__(
            settings,
            spec,
            model=model,
            actor=actor,
            critic=AttentionCritic(settings.model, agents=spec.agents, heads=settings.policy.critic_heads, seen=seen),
            team=make_team(settings.channel, model=model, actor=actor, agents=spec.agents),
            device=device,
            compile_mode=compile_mode,
        )

    def columns(self) -> dict[str, Column]:
        agents = self.spec.agents
        found = {AGE: Column(shape=(agents, agents), dtype=np.int8)} if self.channel.is_on else {}
        if self.channel.share:
            found |= {FAULT: Column(shape=(len(OF_EPISODE),)), DOWN: Column(shape=(agents, agents), dtype=np.int8)}
        return found | ({SENT: Column(shape=(agents,), dtype=np.bool_)} if self.channel.withholds else {})

    def starts(self, window: Window, posteriors: Posteriors, rows: slice, draws: RandomDraws) -> JointStates:
        start = super().starts(window, posteriors, rows, draws)
        if not self.channel.is_on:
            return start
        return with_links(start, window, posteriors, rows, channel=self.channel, draws=draws)

    def imagination(self) -> Imagination:
        return replace(super().imagination(), channel=self.channel)

    def priced(self, loss: WorldModelLoss, window: Window, posteriors: Posteriors) -> WorldModelLoss:
        if self.price is None:
            return loss
        cost = self.price.cost(window, posteriors)
        return replace(
            loss,
            total=loss.total + self.price.penalty(cost),
            terms=loss.terms | {"message_bits": cost.bits},
            messages=cost,
        )

    def update_model(self, window: Window, metrics: Means) -> None:
        if self.price is not None:
            self.price.rise(self.model_update_count)
        super().update_model(window, metrics)

    def learned_from(self, loss: WorldModelLoss) -> None:
        if self.price is not None and loss.messages is not None:
            self.price.see(loss.messages)

    def message_counts(self) -> npt.NDArray[np.int64] | None:
        """See `interfaces.PricingAlgorithm`."""
        return None if self.price is None else self.price.counts()

    @property
    def message(self) -> MessageFormat | None:
        return messages(self.model)

    @torch.no_grad()
    def latents(self, window: Window, draws: Draws) -> Tensor:
        reset = self.settings.loss.reset_action_on_first
        return self.model.observe(window.to(self.device), draws.latent, reset_action_on_first=reset).sent

    def step_function(self, slot: int) -> StepFunction:
        step = agent_step(self.model, self.actor, self.spec, slot=slot)
        if not self.channel.withholds:
            return replace(step, holds=self.channel.holds and not self.channel.predicts)
        return replace(step, sending=Sending(heartbeat=self.channel.heartbeat, changes=self.channel.changes))


def _check_withholding(settings: MambaSettings, spec: EnvironmentSpec) -> None:
    """Raise SettingsError if messages cannot be withheld as they are to be in this world."""
    channel, categoricals = settings.channel, settings.model.categoricals
    if not channel.withholds:
        return
    if not spec.complete_graph:
        raise SettingsError(
            f"channel.heartbeat is {channel.heartbeat}, but in {spec.id} not everyone receives from everyone",
            remedy="Withhold messages in worlds with a complete graph: whoever comes into reach has no last message",
        )
    if channel.heartbeat > spec.episode_limit:
        raise SettingsError(
            f"channel.heartbeat is {channel.heartbeat}, but episodes of {spec.id} have {spec.episode_limit} steps",
            remedy=f"Give at most {spec.episode_limit}, which is one message per episode if nothing changes",
        )
    if channel.changes > categoricals:
        raise SettingsError(
            f"channel.changes is {channel.changes}, but a latent has {categoricals} ids",
            remedy=f"Give at most {categoricals}",
        )
