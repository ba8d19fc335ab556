r"""Rails of the bottleneck: one track between two stations, which two trains want at the same time from both its ends.

A train runs up to the points at its end of the passage, through it, and out on a track of its own to its target.  The
points let nobody out onto the other's approach.  How far from the points a train starts is drawn, and the target is as
much nearer as the start is farther: the whole way is always as long, and so is the time that may be lost.

    target  ----------.                    .---------- start
                       \                  /
    start   ------------*====passage====*------------- target      * points

Of a family of such maps `rail_seed` says one: where the map lies, to which side the exits lead, whether and where the
passage bends.  All have the same lengths.  For `heliograph.environments.flatland.simulator`; imports flatland.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from flatland.envs.rail_grid_transition_map import RailGridTransitionMap
from flatland.envs.rail_trainrun_data_structures import Waypoint
from flatland.envs.timetable_utils import Line

from heliograph.environments.flatland.bottleneck_settings import (
    BottleneckSettings,
    approach_pairs,
    episode_steps,
    extent,
)

Cell = tuple[int, int]
"""Row and column."""

_HEADINGS = {(-1, 0): 0, (0, 1): 1, (1, 0): 2, (0, -1): 3}
_SIDES = (-1, 1)
_SHORTEST_BENT = 4
"""Cells of a passage that can have a bend between the points."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One member of the family."""

    approach: tuple[list[Cell], list[Cell]]
    """Of each train, on to the points; the last cell lies before them."""
    passage: list[Cell]
    """From the first train's end to the second's, points included."""
    exit: tuple[list[Cell], list[Cell]]
    """Of each train, from the points at the other end on."""

    def route(self, train: int) -> list[Cell]:
        """All cells that a train may be on, in its order."""
        passage = self.passage if train == 0 else self.passage[::-1]
        return [*self.approach[train], *passage, *self.exit[train]]


def layout(settings: BottleneckSettings, random: np.random.RandomState) -> Layout:
    """Draw a member."""
    height, width = extent(settings)
    top = int(random.randint(settings.height - height + 1))
    left = int(random.randint(settings.width - width + 1))
    bend = int(random.randint(-1, 2)) if settings.passage >= _SHORTEST_BENT else 0
    bend_at = int(random.randint(1, settings.passage - 2)) if bend else 0
    sides = [_SIDES[random.randint(2)] for _ in range(2)]
    row, column = top + height // 2, left + settings.approaches
    passage = [(row, column)]
    while len(passage) < settings.passage:
        if bend and len(passage) == bend_at + 1:
            passage.append((passage[-1][0] + bend, passage[-1][1]))
        else:
            passage.append((passage[-1][0], passage[-1][1] + 1))
    (first, west), (second, east) = passage[0], passage[-1]
    tracks = range(1, settings.approaches + 1)
    return Layout(
        approach=(
            [(first, west - cells) for cells in reversed(tracks)],
            [(second, east + cells) for cells in reversed(tracks)],
        ),
        passage=passage,
        exit=(
            [(second + sides[1], east + cells - 1) for cells in tracks],
            [(first + sides[0], west - cells + 1) for cells in tracks],
        ),
    )


class Bottlenecks:
    """Lays rails and places trains, as the simulator asks for both."""

    def __init__(self, settings: BottleneckSettings) -> None:
        self._settings = settings
        self._pairs = approach_pairs(settings)

    def rails(self, width: int, height: int, agents: int, resets: int, random: np.random.RandomState) -> Any:
        """See flatland's rail generators."""
        found = layout(self._settings, random)
        rail = RailGridTransitionMap(width=width, height=height)
        for train in range(2):
            _lay(rail.grid, found.route(train), points=found.passage[0 if train == 0 else -1])
        hints = {"city_positions": [found.approach[0][0], found.approach[1][0]], "layout": found}
        return rail, {"agents_hints": hints}

    def line(self, rail: Any, agents: int, hints: dict[str, Any], resets: int, random: np.random.RandomState) -> Line:
        """See flatland's line generators."""
        found: Layout = hints["layout"]
        drawn = self._pairs[random.randint(len(self._pairs))]
        waypoints = {}
        for train, cells in enumerate(drawn):
            start = found.approach[train][-cells]
            target = found.exit[train][self._settings.approaches - cells]
            heading = 1 if train == 0 else 3
            ends = [Waypoint(target, way) for way in range(4) if rail.is_valid_configuration((target, way))]
            waypoints[train] = [[Waypoint(start, heading)], ends]
        return Line(waypoints, [1.0] * agents)

    def step_limit(self, hints: dict[str, Any]) -> int:
        """Steps of an episode."""
        return episode_steps(self._settings)


def _lay(grid: np.ndarray[Any, np.dtype[np.uint16]], route: list[Cell], *, points: Cell) -> None:
    """Tracks along a route both ways, but for the way back from the passage over the `points` onto the approach."""
    (row, column), after = route[0], route[1]
    before = (2 * row - after[0], 2 * column - after[1])
    (row, column), last = route[-1], route[-2]
    beyond = (2 * row - last[0], 2 * column - last[1])
    steps = [_heading(*pair) for pair in pairwise([before, *route, beyond])]
    for cell, (come, go) in zip(route, pairwise(steps), strict=True):
        grid[cell] |= _bit(come, go)
        if cell != points:
            grid[cell] |= _bit((go + 2) % 4, (come + 2) % 4)


def _heading(cell: Cell, after: Cell) -> int:
    return _HEADINGS[after[0] - cell[0], after[1] - cell[1]]


def _bit(come: int, go: int) -> int:
    return 1 << (15 - 4 * come - go)
