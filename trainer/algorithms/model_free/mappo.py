"""MAPPO: multi-agent PPO with a central critic (Yu et al. 2022, "The surprising effectiveness of PPO").

Recurrent agents with shared parameters act on what each sees itself; in training alone a critic sees everything.
"""

from __future__ import annotations

from copy import deepcopy

import torch

from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from trainer.algorithms.model_free.critics import CentralCritic
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.recurrent_policy import RecurrentPolicy, RecurrentStep
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.algorithms.step_function import StepFunction, silent_step
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
        recurrent, read = self.settings.recurrent, self.actions.features
        return silent_step(
            # A copy on the CPU, where nodes run; training may go on elsewhere with the original.
            RecurrentStep(deepcopy(self.network).cpu(), slot=slot),
            self.spec,
            state=(StateTensor(name="hidden", shape=(recurrent,)), StateTensor(name="action", shape=(read,))),
            noise_size=self.actions.noise,
        )
