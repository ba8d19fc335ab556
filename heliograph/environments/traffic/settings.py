"""Parameters of Traffic Junction, and what each difficulty stands for.

For `heliograph.environments`; read by `heliograph.environments.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from heliograph.environments.traffic.roads import Difficulty, problem
from heliograph.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What IC3Net's authors use for a difficulty, at the end of their curriculum."""

    cars: int
    size: int
    length: int
    arrival_rate: float


USUAL: dict[Difficulty, Traffic] = {
    "easy": Traffic(cars=5, size=7, length=20, arrival_rate=0.3),
    "medium": Traffic(cars=10, size=14, length=40, arrival_rate=0.2),
    "hard": Traffic(cars=20, size=18, length=80, arrival_rate=0.05),
}


class TrafficSettings(Settings):
    """Parameters of the environments `traffic-junction-…`."""

    difficulty: Difficulty = "easy"
    """Which roads: one crossing of one-way roads, one junction of two-way roads, or four junctions."""
    cars: Annotated[int, Field(ge=1, le=64)] | None = None
    """Most cars at once, each an agent; otherwise 5, 10 or 20 by difficulty."""
    size: Annotated[int, Field(ge=3, le=60)] | None = None
    """Rows and columns of the grid; otherwise 7, 14 or 18 by difficulty."""
    length: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Steps of every episode; otherwise 20, 40 or 80 by difficulty."""
    arrival_rate: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Probability that a car arrives at an entry in a step; otherwise 0.3, 0.2 or 0.05 by difficulty.  IC3Net trains
    with a curriculum that begins at 0.1, 0.05 and 0.02."""
    vision: Annotated[int, Field(ge=0, le=8)] = 0
    """Cells around its own in which a car sees others (Chebyshev); 0: its own cell alone."""
    hears: Literal["all", "range"] = "all"
    """Whom a car on the road hears: all others on the road, or those within `range`."""
    range: Annotated[int, Field(ge=0, le=60)] = 3
    """For `hears = "range"`: as far as this many cells (Chebyshev)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        wanted = problem(self.difficulty, self.traffic.size)
        if wanted:
            raise ValueError(f"size {self.size} does not fit difficulty {self.difficulty!r}, which needs {wanted}")
        return self

    @property
    def traffic(self) -> Traffic:
        """What the parameters come to, those that are left out filled in."""
        by_difficulty = USUAL[self.difficulty]
        return Traffic(
            cars=by_difficulty.cars if self.cars is None else self.cars,
            size=by_difficulty.size if self.size is None else self.size,
            length=by_difficulty.length if self.length is None else self.length,
            arrival_rate=by_difficulty.arrival_rate if self.arrival_rate is None else self.arrival_rate,
        )
