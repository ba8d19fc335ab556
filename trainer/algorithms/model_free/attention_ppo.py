"""Attention-PPO: the model-free twin of MAMBA and MAG (MAG, "Baselines").

PPO with an attention critic in training, and at execution the same discrete messages as theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.dreamer.execution import agent_step, messages
from trainer.algorithms.model_free.critics import ObservationAttentionCritic
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.settings import AttentionPpoSettings
from trainer.algorithms.model_free.talking_policy import TalkingPolicy
from trainer.algorithms.step_function import StepFunction
from trainer.experience.window import Window
from trainer.policy.draws import Draws


class AttentionPpo(OnPolicy):
    """An `Algorithm`."""

    name = "attention-ppo"
    network: TalkingPolicy

    def __init__(self, settings: AttentionPpoSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        sizes = settings.policy
        super().__init__(
            settings.ppo,
            spec,
            network=TalkingPolicy(sizes, spec),
            critic=ObservationAttentionCritic(
                spec,
                hidden=sizes.hidden,
                heads=sizes.heads,
                position_scale=sizes.position_scale,
                image_channels=sizes.image_channels,
            ),
            device=device,
        )

    @property
    def message(self) -> MessageFormat | None:
        return messages(self.network)

    @torch.no_grad()
    def latents(self, window: Window, draws: Draws) -> Tensor:
        return self.network.latents(window.to(self.device), draws)

    def step_function(self, slot: int) -> StepFunction:
        return agent_step(self.network, self.network.actor, self.spec, slot=slot)
