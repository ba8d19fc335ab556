"""Settings of MAMBA."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from trainer.algorithms.dreamer.settings import DreamerSettings
from trainer.experience.channel_settings import ChannelSettings
from trainer.world_model.message_settings import MessageSettings
from trainer.world_model.settings import WorldModelSettings


class MambaSettings(DreamerSettings):
    model: WorldModelSettings = WorldModelSettings()
    channel: ChannelSettings = ChannelSettings()
    message: MessageSettings = MessageSettings()

    @model_validator(mode="after")
    def _reads_what_it_holds(self) -> Self:
        if self.channel.is_on and (self.model.communication != "ego" or not self.model.train_with_neighbours):
            raise ValueError(
                "mamba.channel loses or withholds messages, and those that are not there are told apart with "
                "model.communication = ego and model.train_with_neighbours = true alone"
            )
        return self

    @model_validator(mode="after")
    def _prices_what_is_sent(self) -> Self:
        if self.message.is_priced and self.model.communication == "none":
            raise ValueError("mamba.message.bits_scale prices messages, but model.communication is none")
        if self.message.learns_precision and (
            self.model.communication != "ego" or not self.model.train_with_neighbours or self.model.classes < 2
        ):
            raise ValueError(
                "mamba.message.precision is learned, which needs model.communication = ego, "
                "model.train_with_neighbours = true and two model.classes or more"
            )
        if self.message.learns_precision and self.channel.predicts:
            raise ValueError(
                "mamba.message.precision is learned, but channel.late = predict predicts whole messages; give one"
            )
        least, budget = self.least_bits, self.message.budget_bits
        if budget is not None and budget < least:
            raise ValueError(
                f"mamba.message.budget_bits is {budget:g}, but messages of {self.model.categoricals} ids take at least "
                f"{least:.3g} bits per agent-step, {self._least_of_a_message}; give a larger budget, fewer "
                "model.categoricals, or a longer channel.heartbeat"
            )
        return self

    def unlearned(self, iterations: int) -> str:
        """See `SuitsLength`."""
        rising, updates = self.message.anneal_updates, iterations * self.model_updates
        if not self.message.learns_precision or rising < updates:
            return ""
        return (
            f"mamba.message.precision is learned once the price of a bit has risen, after message.anneal_updates = "
            f"{rising} updates of the model, and this run makes {updates} at most; give fewer, or more "
            "schedule.env_steps"
        )

    @property
    def least_bits(self) -> float:
        """Per agent-step, of messages in the shortest code words; where precision is learned, of their count alone."""
        categoricals = self.model.categoricals
        bits = categoricals.bit_length() if self.message.learns_precision else categoricals
        return bits / max(1, self.channel.heartbeat)

    @property
    def _least_of_a_message(self) -> str:
        return (
            "which say how many ids follow" if self.message.learns_precision else "one for each id when they are sent"
        )
