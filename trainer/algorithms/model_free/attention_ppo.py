"""Attention-PPO: the model-free twin of MAMBA and MAG (MAG, "Baselines").

PPO with an attention critic in training, and at execution the same discrete messages as theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.critics import ObservationAttentionCritic
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.settings import AttentionPpoSettings
from trainer.algorithms.model_free.talking_policy import TalkingPolicy
from trainer.experience.window import Window
from trainer.export.bundles import StepFunction
from trainer.export.step_functions import talking_step
from trainer.policy.draws import Draws


class AttentionPpo(OnPolicy):
    """An `Algorithm`."""

    name = "attention-ppo"
    reads_state = False

    def __init__(self, settings: AttentionPpoSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        sizes = settings.policy
        super().__init__(
            settings.ppo,
            spec,
            policy=TalkingPolicy(sizes, spec),
            critic=ObservationAttentionCritic(
                spec, hidden=sizes.hidden, heads=sizes.heads, position_scale=sizes.position_scale
            ),
            device=device,
        )

    def message_size(self) -> int:
        return self.settings.policy.categoricals

    def noise_size(self) -> int:
        return self.settings.policy.categoricals + self.actions.noise

    @torch.no_grad()
    def latents(self, window: Window, draws: Draws) -> Tensor:
        return self.policy.latents(window.to(self.device), draws)

    def step_function(self, slot: int) -> StepFunction:
        return talking_step(self.policy, self.policy.actor, self.spec, slot=slot)
