"""Settings that MAMBA, MABL and MAG share: how they learn, whatever their world model is."""

from __future__ import annotations

from typing import Self

from pydantic import PositiveInt, model_validator

from trainer.policy.settings import ModelBasedSettings, PolicySettings
from trainer.world_model.settings import LatentModelSettings, LossSettings, ModelOptimiserSettings


class DreamerSettings(ModelBasedSettings):
    model: LatentModelSettings
    loss: LossSettings = LossSettings()
    optimiser: ModelOptimiserSettings = ModelOptimiserSettings()
    policy: PolicySettings = PolicySettings()
    model_updates: PositiveInt = 60
    """World-model updates per training iteration, each on fresh windows."""

    @model_validator(mode="after")
    def _reconstructs_what_it_reads(self) -> Self:
        if self.model.observations == "standardised" and self.loss.reconstruction_loss == "bernoulli":
            raise ValueError(
                "loss.reconstruction_loss = bernoulli is for zeros and ones, which model.observations = standardised "
                "does not leave; give squared or smooth_l1"
            )
        return self
