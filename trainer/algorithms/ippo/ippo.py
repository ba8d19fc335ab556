"""IPPO: independent PPO (de Witt et al. 2020, "Is independent learning all you need in the StarCraft challenge?").

MAPPO without anything central: actor and critic are shared by the agents, as there, and see what an agent sees.
"""

from __future__ import annotations

import torch

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.model_free.critics import OwnCritic
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.recurrent_policy import RecurrentPolicy
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.algorithms.step_function import StepFunction


class Ippo(OnPolicy):
    """An `Algorithm`."""

    name = "ippo"
    network: RecurrentPolicy

    def __init__(self, settings: MappoSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        super().__init__(
            settings.ppo,
            spec,
            network=RecurrentPolicy(settings, spec),
            critic=OwnCritic(spec, hidden=settings.hidden, image_channels=settings.image_channels),
            device=device,
        )

    def step_function(self, slot: int) -> StepFunction:
        return self.network.step_function(self.spec, slot=slot)
