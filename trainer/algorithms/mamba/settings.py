"""Settings of MAMBA."""

from __future__ import annotations

from trainer.algorithms.dreamer.settings import DreamerSettings
from trainer.world_model.settings import WorldModelSettings


class MambaSettings(DreamerSettings):
    model: WorldModelSettings = WorldModelSettings()
