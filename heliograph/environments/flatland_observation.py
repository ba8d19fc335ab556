"""What trains see on their rails: 205 numbers for each, and the first train that can still move on each edge.

A train looks along the 14 lines of its depth-3 tree.  The 205 numbers are MAMBA's: 9 about the train itself, then 14
for each edge.  Flags are +1 and -1, absent edges zeros.

| entry | of the train itself | entry | of an edge |
|---|---|---|---|
| 0, 1 | row, column; the start cell before it departs | 0 | 1, or -1 for an edge behind its own target |
| 2 | a number of its own for the episode | 1 | cells to the first train |
| 3 | deadlocked | 2 | cells to the end |
| 4 | not malfunctioning | 3 | cells to the first switch that only others can use |
| 5 | cells to the target | 4 | cells to the target from its end, minus those from its start |
| 6 | on a switch | 5 | as 4, plus its length |
| 7 | one way on, and a decision in the next cell | 6, 7 | at least 1, 2 trains in the direction of travel |
| 8 | not departed | 8, 9 | at least 1, 2 trains in another direction |
| | | 10 | the highest index of those in another direction is above its own |
| | | 11, 12 | the first that can move, the one of highest index goes in the direction of travel |
| | | 13 | a train on it is deadlocked |

Behind an edge with a deadlocked train nothing is seen.  Axis legend: N trains, V configurations of
`heliograph.environments.flatland_rails`.  For `heliograph.environments`; imports no simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.environments.flatland_rails import EDGES, Rails

OWN, PER_EDGE = 9, 14
OBSERVATION_SIZE = OWN + PER_EDGE * EDGES

_FARTHEST = 2.0
_SECOND, _THIRD = slice(2, 6), slice(6, 14)
_OVER_SECOND, _OVER_THIRD = np.array([0, 0, 1, 1]), np.array([2, 2, 3, 3, 4, 4, 5, 5])
_OVER = np.concatenate([_OVER_SECOND, _OVER_THIRD])
_HEADINGS = np.arange(4)


@dataclass(frozen=True, kw_only=True)
class Trains:
    """Where the trains of a team are and how they fare."""

    place: np.ndarray
    """int [N], configuration; the one it starts from before it departs, V once it has arrived."""
    on_map: np.ndarray
    """bool [N]; only these are seen."""
    broken: np.ndarray
    """bool [N], malfunctioning."""
    deadlocked: np.ndarray
    """bool [N]."""
    start: np.ndarray
    """int [N], cell (row * W + column) where it starts."""
    arrived: np.ndarray
    """bool [N]; they see nothing."""
    identity: np.ndarray
    """float [N] in 0..1."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a team sees at one step."""

    observation: np.ndarray
    """float32 [N, 205]; zeros for arrived trains."""
    edge_train: np.ndarray
    """int [N, 14], the first train on each edge that is not deadlocked, or -1."""


def look(rails: Rails, trains: Trains, *, published: bool) -> Sight:
    """Return what every train sees; see the module for the entries.

    `published`: finite distances d as d / 100 - 10 and infinite ones as 0, coordinates / 100, -1 as the distance from
    behind the target, and entry 6 and an edge's entry 3 without effect, as in MAMBA's code.  Otherwise distances are
    shares of half the map's perimeter, at most 2, which also stands for infinite; coordinates are shares of the sides
    of the map; and entries 4 and 5 of an edge behind the target are 0.
    """
    scale = _Scale(rails, published=published)
    tree = rails.tree[trains.place]  # [N, 14]
    traffic = _traffic(rails, trains, tree)
    visible = tree < rails.end.size - 1
    if traffic.deadlocked.any():
        visible[:, _SECOND] &= ~traffic.deadlocked[:, _OVER_SECOND] & visible[:, _OVER_SECOND]
        visible[:, _THIRD] &= ~traffic.deadlocked[:, _OVER_THIRD] & visible[:, _OVER_THIRD]
    count = trains.place.size
    own = np.arange(count)[:, None]
    cells = rails.length[tree].astype(np.float64)
    left = rails.distance[own, rails.end[tree]]  # from the end of each edge
    behind = np.zeros((count, EDGES), dtype=bool)
    at_target = left == 0
    if at_target.any():
        behind[:, _SECOND] = at_target[:, _OVER_SECOND]
        behind[:, _THIRD] = at_target[:, _OVER_THIRD] | behind[:, _OVER_THIRD]
        left[behind] = -1.0
    here = rails.distance[own[:, 0], trains.place]
    merge = np.full(tree.shape, np.inf) if published else rails.merge[tree]
    to_train, to_end, to_merge, after, after_start = scale.distance(
        np.stack([traffic.nearest, cells, merge, left, left + cells])
    )
    to_target = scale.distance(here)
    before = np.concatenate([np.stack([to_target, to_target], axis=1), after[:, _OVER]], axis=1)
    gains = np.stack([after - before, after_start - before], axis=-1)
    if not published:
        gains[behind] = 0.0

    full = np.empty((count, OBSERVATION_SIZE), dtype=np.float32)
    edges = full[:, OWN:].reshape(count, EDGES, PER_EDGE)
    edges[..., 0] = _flag(~behind)
    edges[..., 1], edges[..., 2], edges[..., 3], edges[..., 4:6] = to_train, to_end, to_merge, gains
    edges[..., 6:14] = traffic.flags
    edges[~visible] = 0.0
    only_way = visible[:, 0] & ~visible[:, 1]
    full[:, 0], full[:, 1] = scale.coordinates(np.where(trains.on_map, rails.cell[trains.place], trains.start))
    full[:, 2] = trains.identity
    full[:, 3] = _flag(trains.deadlocked)
    full[:, 4] = _flag(~trains.broken)
    full[:, 5] = to_target
    full[:, 6] = -1.0 if published else _flag(trains.on_map & rails.on_switch[trains.place])
    full[:, 7] = _flag(only_way & ((cells[:, 0] == 1) | (merge[:, 0] == 1)))
    full[:, 8] = _flag(~trains.on_map)
    full[trains.arrived] = 0.0
    return Sight(observation=full, edge_train=np.where(visible, traffic.first, -1))


class _Scale:
    """How cells become numbers."""

    def __init__(self, rails: Rails, *, published: bool) -> None:
        self._published = published
        self._shape = rails.grid.shape
        self._half_perimeter = sum(rails.grid.shape)

    def coordinates(self, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        row, column = np.divmod(cell, self._shape[1])
        height, width = (100, 100) if self._published else self._shape
        return row / height, column / width

    def distance(self, cells: np.ndarray) -> np.ndarray:
        if self._published:
            return np.where(cells == np.inf, 0.0, cells / 100.0 - 10)
        return np.minimum(cells / self._half_perimeter, _FARTHEST)


@dataclass(frozen=True, kw_only=True)
class _Traffic:
    """The trains on each edge, all [N, 14]."""

    nearest: np.ndarray
    """float, cells to the first train, inf without one."""
    first: np.ndarray
    """int, the first that is not deadlocked, or -1."""
    deadlocked: np.ndarray
    """bool, a train on it is."""
    flags: np.ndarray
    """float [N, 14, 8], entries 6 to 13."""


def _traffic(rails: Rails, trains: Trains, tree: np.ndarray) -> _Traffic:
    """Look up which trains are on which lines; the same train counts twice where a line passes it twice."""
    count, edges = trains.place.size, tree.size
    seen = np.flatnonzero(trains.on_map)
    # A train may be passed in any heading in which its cell can be entered.
    passed = rails.index[rails.cell[trains.place[seen]][:, None] * 4 + _HEADINGS]  # [seen, 4]
    which, heading = np.nonzero(passed < rails.end.size - 1)
    at = passed[which, heading]
    train = seen[which]
    along = heading == rails.heading[trains.place[train]]
    # Below zero wraps round to far above every count, so one comparison finds both ends.
    ahead = (rails.order[tree.reshape(-1, 1)] - rails.order[at]).view(np.uint32)
    edge, hit = np.divmod(np.flatnonzero(ahead < rails.upstream[at]), max(at.size, 1))
    train, along = train[hit], along[hit]
    cells = rails.length[tree.reshape(-1)[edge]] - rails.length[at[hit]] + 1
    stuck = trains.deadlocked[train]

    nearest = np.full(edges, np.inf)
    np.minimum.at(nearest, edge, cells.astype(np.float64))
    same = np.bincount(edge[along], minlength=edges)
    other = np.bincount(edge[~along], minlength=edges)
    highest_other = np.zeros(edges, dtype=np.int64)
    np.maximum.at(highest_other, edge[~along], train[~along])
    # The first to move and the one of highest index are found by sorting keys that carry what is asked about them.
    most = rails.end.size
    first = np.full(edges, np.iinfo(np.int64).max)
    np.minimum.at(first, edge[~stuck], ((cells * count + train) * 2 + along)[~stuck])
    highest = np.full(edges, -1)
    np.maximum.at(highest, edge, (train * most + most - 1 - cells) * 2 + along)
    alone = first == np.iinfo(np.int64).max
    deadlocked = np.zeros(edges, dtype=bool)
    deadlocked[edge[stuck]] = True
    own = np.repeat(np.arange(count), EDGES)
    flags = np.stack(
        [
            *(same >= 1, same >= 2, other >= 1, other >= 2, highest_other > own),
            *(alone | (first % 2 == 1), (highest < 0) | (highest % 2 == 1), deadlocked),
        ],
        axis=-1,
    )
    return _Traffic(
        nearest=nearest.reshape(count, EDGES),
        first=np.where(alone, -1, first // 2 % count).reshape(count, EDGES),
        deadlocked=deadlocked.reshape(count, EDGES),
        flags=_flag(flags).reshape(count, EDGES, 8),
    )


def _flag(values: np.ndarray) -> np.ndarray:
    return np.where(values, 1.0, -1.0)
