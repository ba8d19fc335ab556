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
from trainer.export.bundles import StepFunction


class Mappo(OnPolicy):
    """An `Algorithm`."""

    name = "mappo"
    reads_state = True

    def __init__(self, settings: MappoSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        super().__init__(
            settings.ppo,
            spec,
            policy=RecurrentPolicy(settings, spec),
            critic=CentralCritic(spec, hidden=settings.hidden),
            device=device,
        )

    def message_size(self) -> int:
        return 0

    def noise_size(self) -> int:
        return self.actions.noise

    def step_function(self, slot: int) -> StepFunction:
        spec, recurrent, read = self.spec, self.settings.recurrent, self.actions.features
        inputs = {
            "observation": torch.zeros(spec.observation_size),
            "action_mask": torch.ones(spec.actions, dtype=torch.bool),
            "first": torch.tensor(True),
            "greedy": torch.tensor(False),
            "state.hidden": torch.zeros(recurrent),
            "state.action": torch.zeros(read),
            "noise": torch.full((self.noise_size(),), 0.5),
        }
        return StepFunction(
            # A copy on the CPU, where nodes run; training may go on elsewhere with the original.
            module=RecurrentStep(deepcopy(self.policy).cpu(), slot=slot),
            inputs=inputs,
            outputs=("action", "logits", "state.hidden.next", "state.action.next"),
            state=(StateTensor(name="hidden", shape=(recurrent,)), StateTensor(name="action", shape=(read,))),
            message=None,
            noise_size=self.noise_size(),
        )
