"""Faults of a link that take more than one number, for the simulated channel and for training with one.

What is drawn by them is each user's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from heliograph.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Burst:
    """A Gilbert-Elliott channel: a link is good, and loses nothing, or bad, and loses everything."""

    loss: float
    """Share of steps at which a link is bad, in the long run and at the first step."""
    mean_steps: float
    """How long it stays bad, on average."""

    def __post_init__(self) -> None:
        check_probability("burst", self.loss)
        if not (math.isfinite(self.mean_steps) and self.mean_steps >= 1):
            raise SettingsError(f"channel: a burst lasts 1 step or more on average, not {self.mean_steps:g}")
        if self.loss == 1:
            raise SettingsError("channel: burst=1 never ends", remedy="Write erasure=1")
        if self.to_bad > 1:
            raise SettingsError(
                f"channel: bursts of {self.mean_steps:g} steps on average cannot make up {self.loss:g} of all steps",
                remedy=f"At that loss they last {self.loss / (1 - self.loss):.3g} steps or more",
            )

    @property
    def to_good(self) -> float:
        """Probability of a bad link to be good at the next step."""
        return 1 / self.mean_steps

    @property
    def to_bad(self) -> float:
        """Probability of a good link to be bad at the next step, so that `loss` is the stationary share."""
        return self.loss / (1 - self.loss) / self.mean_steps


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Loss that grows with the distance d between two agents: 1 - 2**-((d / half)**exponent).

    The outage probability of Rayleigh fading with this path-loss exponent.
    """

    half: float
    """Where every other message is lost, in the environment's unit of length."""
    exponent: float = 2.0

    def __post_init__(self) -> None:
        for name, value in (("distance", self.half), ("exponent of distance", self.exponent)):
            if not (math.isfinite(value) and value > 0):
                raise SettingsError(f"channel: {name} must be a positive number, not {value:g}")


def check_probability(name: str, value: float) -> None:
    """Raise SettingsError unless the option `name` is a number from 0 to 1."""
    if not 0 <= value <= 1:
        raise SettingsError(f"channel: {name} must be a probability, not {value:g}", remedy="Give a number from 0 to 1")
