"""Settings of MABL's two-level world model."""

from __future__ import annotations

from typing import Literal

from trainer.nets.settings import LatentSettings
from trainer.world_model.settings import LatentModelSettings


class BilevelSettings(LatentModelSettings):
    """Both levels have the same sizes, as published."""

    global_level: Literal["each", "shared", "none"] = "each"
    """One global latent per agent; a single one that all agents share (MABL-SG in the paper's ablation); or no upper
    level, which leaves an independent DreamerV2 per agent."""

    @property
    def levels(self) -> int:
        """Of latents in a feature."""
        return 1 if self.global_level == "none" else 2

    @property
    def feature(self) -> LatentSettings:
        """A feature of all levels, the agent's first, is like one of so many times the size."""
        sizes = {"categoricals": self.levels * self.categoricals, "recurrent": self.levels * self.recurrent}
        return self.model_copy(update=sizes)
