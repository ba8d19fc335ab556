"""Settings of MAMBA."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from trainer.algorithms.dreamer.settings import DreamerSettings
from trainer.experience.channel_settings import ChannelSettings
from trainer.world_model.settings import WorldModelSettings


class MambaSettings(DreamerSettings):
    model: WorldModelSettings = WorldModelSettings()
    channel: ChannelSettings = ChannelSettings()

    @model_validator(mode="after")
    def _reads_what_it_holds(self) -> Self:
        if self.channel.is_on and (self.model.communication != "ego" or not self.model.train_with_neighbours):
            raise ValueError(
                "mamba.channel loses or withholds messages, and those that are not there are told apart with "
                "model.communication = ego and model.train_with_neighbours = true alone"
            )
        return self
