"""Parameters of the bottleneck, and what follows from them without the simulator.

For `heliograph.environments`; read by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from heliograph.environments.flatland.settings import FlatlandSettings


class BottleneckSettings(FlatlandSettings):
    """Parameters of the environment `flatland-bottleneck`; those of cities have no effect."""

    agents: Literal[2] = 2
    """Trains; one from each end."""
    width: Annotated[int, Field(ge=2, le=400)] = 20
    """Columns of the map."""
    height: Annotated[int, Field(ge=2, le=400)] = 9
    """Rows of the map."""
    malfunction_interval: Annotated[float, Field(ge=0)] = 0.0
    """Mean steps between two malfunctions of a train; 0 for none."""
    rail_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = 0
    """Which map of the family; none: another in every episode."""
    neighbours: Literal["tree", "rail"] = "rail"
    """Whom a train hears: see `flatland`; the first train on its tree is the other one only once that is in the
    passage."""
    rail_reach: Annotated[int, Field(ge=0)] = 40
    """For `neighbours = "rail"`: cells of the shortest way along rails between two trains that hear each other."""
    sight: Annotated[int, Field(ge=0)] | None = 0
    """Cells ahead in which a train sees others; none: as far as its tree reaches, through the passage and beyond."""
    passage: Annotated[int, Field(ge=3, le=40)] = 5
    """Cells of the passage, the points at both its ends included."""
    approaches: Annotated[int, Field(ge=2, le=20)] = 5
    """A train starts 1 to this many cells before the points, which it alone knows."""
    slack: Annotated[int, Field(ge=0, le=100)] = 4
    """Steps that a train may lose and arrive in time; pairs of starts at which one of two has to lose more are not
    drawn."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.check_malfunctions()
        height, width = extent(self)
        if self.height < height or self.width < width:
            raise ValueError(
                f"a map of {self.width} x {self.height} is too small for a bottleneck of {width} x {height} cells: "
                "make it larger, or ask for a shorter passage or fewer approaches"
            )
        if not approach_pairs(self):
            raise ValueError(
                f"with slack {self.slack} no two trains with {self.approaches} approaches can both pass {self.passage} "
                "cells in time: allow more slack or more approaches"
            )
        return self


def approach_pairs(settings: BottleneckSettings) -> list[tuple[int, int]]:
    """The starts of both trains that may be drawn, in cells before the points: one can go first and both are in time.

    Who comes second stands before the points until the first has left the passage.
    """
    cells = range(1, settings.approaches + 1)
    return [
        (first, second)
        for first in cells
        for second in cells
        if abs(first - second) + settings.slack >= settings.passage
    ]


def extent(settings: BottleneckSettings) -> tuple[int, int]:
    """Rows and columns that the rails may take."""
    return 5, 2 * settings.approaches + settings.passage


def episode_steps(settings: BottleneckSettings) -> int:
    """Steps in which a train that loses `slack` of them arrives: two to depart, and one for each cell to its target."""
    return settings.approaches + settings.passage + 2 + settings.slack
