"""Settings of TarMAC."""

from __future__ import annotations

from typing import Self

from pydantic import PositiveInt, model_validator

from trainer.algorithms.model_free.settings import MessagingSettings


class TarMacSettings(MessagingSettings):
    signature: PositiveInt = 8
    """Categoricals of a message that are its signature, which receivers compare with what they look for; the others are
    its value."""
    attention: PositiveInt = 16
    """Width of signatures and queries, as read (the paper's d_k)."""

    @model_validator(mode="after")
    def _leaves_a_value(self) -> Self:
        if self.signature >= self.categoricals:
            raise ValueError(
                f"tarmac.signature is {self.signature}, but a message has {self.categoricals} categoricals, one of "
                "which at least is its value; give fewer"
            )
        return self
