"""What a team learns of the bits that its messages take.

Imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from heliograph.settings import Settings


class MessageSettings(Settings):
    """An information penalty on messages, and what agents may leave out; off by default."""

    bits_scale: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight in the model's loss of the bits per agent-step of what is sent: the expected length of a message by the
    tables of the codec `entropy`, which are the running shares of what was sent."""
    anneal_updates: NonNegativeInt = 0
    """Model updates over which that weight rises linearly from 0.  A learned precision begins to be learned after
    them, when what is said is understood: before, any price or noise silences a team whom nobody listens to."""
    budget_bits: PositiveFloat | None = None
    """Bits per agent-step below which nothing is penalised."""

    precision: Literal["whole", "learned"] = "whole"
    """A message says the whole latent; or its sender chooses at every step how many of the first categoricals it says,
    as it has learned to under that penalty."""

    @property
    def is_priced(self) -> bool:
        return self.bits_scale > 0

    @property
    def learns_precision(self) -> bool:
        return self.precision == "learned"

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        for name in ("anneal_updates", "budget_bits"):
            if getattr(self, name) and not self.is_priced:
                raise ValueError(f"message.{name} is about a penalty, but message.bits_scale is 0; give its weight")
        if self.precision == "learned" and not self.is_priced:
            raise ValueError(
                "message.precision is learned, but message.bits_scale is 0, so that nothing would be left out; give "
                "the weight of bits"
            )
        return self
