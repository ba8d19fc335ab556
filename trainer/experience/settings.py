"""Settings of replay."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from pydantic import NonNegativeInt, PositiveInt

from heliograph.settings import Settings


class ReplaySettings(Settings):
    capacity: PositiveInt = 250_000
    """Rows of all copies together; the oldest are overwritten."""
    window: PositiveInt = 20
    """Rows of a training window."""
    batch: PositiveInt = 40
    """Windows of a training batch."""
    start: Literal["anywhere", "first"] = "anywhere"
    """Windows may begin at any row, as published, or only at the first row of an episode."""
    absorbing_rows: NonNegativeInt = 2
    """Rows appended after an episode that ended because all agents terminated."""
    minimum: NonNegativeInt = 500
    """Rows before the first update."""
    time_limit_is_terminal: bool = False
    """Record a time limit as the agents' end, as published; their value then learns to fall to zero there."""


@runtime_checkable
class SuitsReplay(Protocol):
    """Settings of an algorithm that do not go with every replay."""

    def misfit(self, replay: ReplaySettings) -> str:
        """Why they do not go with this one; empty if they do."""
        ...


@runtime_checkable
class SuitsLength(Protocol):
    """Settings of an algorithm that want a run of some length."""

    def unlearned(self, iterations: int) -> str:
        """What is never learned in so many iterations, and why; empty if nothing."""
        ...
