"""Settings of MABL."""

from __future__ import annotations

from typing import Literal

from trainer.algorithms.dreamer.settings import DreamerSettings
from trainer.world_model.bilevel_settings import BilevelSettings


class MablSettings(DreamerSettings):
    model: BilevelSettings = BilevelSettings()
    critic: Literal["all", "global"] = "all"
    """What the critic reads of an imagined state: all levels that there are, or of two the global one alone, which the
    paper found better on Flatland."""
