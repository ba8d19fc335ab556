"""MAPPO: multi-agent PPO with a central critic (Yu et al. 2022, "The surprising effectiveness of PPO").

Recurrent agents with shared parameters act on what each sees itself; in training alone a critic sees everything.
"""

from __future__ import annotations

import torch

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.critics import CentralCritic
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.recurrent_policy import RecurrentPolicy
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.algorithms.step_function import StepFunction
from trainer.experience.columns import Column, state_column


class Mappo(OnPolicy):
    """An `Algorithm`."""

    name = "mappo"
    network: RecurrentPolicy

    def __init__(self, settings: MappoSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        super().__init__(
            settings.ppo,
            spec,
            network=RecurrentPolicy(settings, spec),
            critic=CentralCritic(spec, hidden=settings.hidden, image_channels=settings.image_channels),
            device=device,
        )

    def columns(self) -> dict[str, Column]:
        return super().columns() | state_column(self.spec)

    def step_function(self, slot: int) -> StepFunction:
        return self.network.step_function(self.spec, slot=slot)
