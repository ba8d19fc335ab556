"""MAPPO: multi-agent PPO with a central critic (Yu et al. 2022, "The surprising effectiveness of PPO").

Recurrent agents with shared parameters act on what each sees itself; in training alone a critic sees everything.
"""

from __future__ import annotations

from trainer.algorithms.model_free.critics import CentralCritic
from trainer.algorithms.model_free.shared_policy import SharedPolicy
from trainer.experience.columns import Column, state_column


class Mappo(SharedPolicy):
    """An `Algorithm`."""

    name = "mappo"
    critic_kind = CentralCritic

    def columns(self) -> dict[str, Column]:
        return super().columns() | state_column(self.spec)
