"""Settings that MAMBA, MABL and MAG share: how they learn, whatever their world model is."""

from __future__ import annotations

from pydantic import PositiveInt

from trainer.policy.settings import ModelBasedSettings, PolicySettings
from trainer.world_model.settings import LatentModelSettings, LossSettings, ModelOptimiserSettings


class DreamerSettings(ModelBasedSettings):
    model: LatentModelSettings
    loss: LossSettings = LossSettings()
    optimiser: ModelOptimiserSettings = ModelOptimiserSettings()
    policy: PolicySettings = PolicySettings()
    model_updates: PositiveInt = 60
    """World-model updates per training iteration, each on fresh windows."""
