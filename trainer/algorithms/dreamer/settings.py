"""Settings that MAMBA, MABL and MAG share: how they learn, whatever their world model is."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from trainer.policy.settings import ModelBasedSettings, PolicySettings
from trainer.world_model.settings import LatentModelSettings, LossSettings, ModelOptimiserSettings


class LatentPolicySettings(PolicySettings):
    """Of actor and critic that read latents."""

    reads: Literal["latents", "observations"] = "latents"
    """What actor and critic read: an agent's latent and recurrent state, as published, or these and what it observes,
    so that what latents do not keep is not lost to them; of what is imagined, the reconstruction."""


class DreamerSettings(ModelBasedSettings):
    model: LatentModelSettings
    loss: LossSettings = LossSettings()
    optimiser: ModelOptimiserSettings = ModelOptimiserSettings()
    policy: LatentPolicySettings = LatentPolicySettings()
    model_updates: PositiveInt = 60
    """World-model updates per training iteration, each on fresh windows."""

    @model_validator(mode="after")
    def _reconstructs_what_is_read(self) -> Self:
        if self.loss.reconstruction_loss != "bernoulli":
            return self
        if self.policy.reads == "observations":
            raise ValueError(
                "policy.reads = observations reads reconstructions in imagination, but loss.reconstruction_loss = "
                "bernoulli makes logits of them; give squared or smooth_l1"
            )
        if self.model.observations == "standardised":
            raise ValueError(
                "loss.reconstruction_loss = bernoulli is for zeros and ones, which model.observations = standardised "
                "does not leave; give squared or smooth_l1"
            )
        return self
