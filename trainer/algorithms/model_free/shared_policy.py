"""What MAPPO and IPPO share: recurrent agents with shared parameters, which act on what each sees itself.

They differ in what the critic sees in training.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.critics import CentralCritic, OwnCritic
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.recurrent_policy import RecurrentPolicy
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.algorithms.step_function import StepFunction


class SharedPolicy(OnPolicy):
    """Most of an `Algorithm`."""

    network: RecurrentPolicy
    critic_kind: ClassVar[type[CentralCritic | OwnCritic]]

    def __init__(self, settings: MappoSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        super().__init__(
            settings.ppo,
            spec,
            network=RecurrentPolicy(settings, spec),
            critic=self.critic_kind(spec, hidden=settings.hidden, image_channels=settings.image_channels),
            device=device,
        )

    def step_function(self, slot: int) -> StepFunction:
        return self.network.step_function(self.spec, slot=slot)
