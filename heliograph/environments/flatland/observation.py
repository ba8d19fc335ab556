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
`heliograph.environments.flatland.rails`.  For `heliograph.environments`; imports no simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.environments.flatland.rails import EDGES, Rails

OWN, PER_EDGE = 9, 14
OBSERVATION_SIZE = OWN + PER_EDGE * EDGES

_FARTHEST = 2.0
_SECOND, _THIRD = slice(2, 6), slice(6, 14)
_OVER_SECOND, _OVER_THIRD = np.array([0, 0, 1, 1]), np.array([2, 2, 3, 3, 4, 4, 5, 5])
_OVER = np.concatenate([_OVER_SECOND, _OVER_THIRD])
_BEHIND = ((2, 3, 6, 7, 8, 9), (4, 5, 10, 11, 12, 13), (6, 7), (8, 9), (10, 11), (12, 13), *[()] * 8)
"""The edges that an edge leads to."""


@dataclass(frozen=True, kw_only=True)
class Trains:
    """Where the trains of a team are and how they fare."""

    place: npt.NDArray[np.int64]
    """int [N], configuration; the one it starts from before it departs, V once it has arrived."""
    on_map: npt.NDArray[np.bool_]
    """bool [N]; only these are seen."""
    broken: npt.NDArray[np.bool_]
    """bool [N], malfunctioning."""
    deadlocked: npt.NDArray[np.bool_]
    """bool [N]."""
    start: npt.NDArray[np.int64]
    """int [N], cell (row * W + column) where it starts."""
    arrived: npt.NDArray[np.bool_]
    """bool [N]; they see nothing."""
    identity: npt.NDArray[np.float64]
    """float [N] in 0..1."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a team sees at one step."""

    observation: npt.NDArray[np.float32]
    """float32 [N, 205]; zeros for arrived trains."""
    edge_train: npt.NDArray[np.int64]
    """int [N, 14], the first train on each edge that is not deadlocked, or -1."""


class Outlook:
    """What the trains of one episode see, wherever they are.

    All that does not depend on where the others are is worked out once for every place, as most of it never changes.
    """

    def __init__(self, rails: Rails, *, published: bool, sight: int | None = None) -> None:
        """`sight`: cells ahead in which others are seen; none: wherever they are on the tree.

        `published`: finite distances d as d / 100 - 10 and infinite ones as 0, coordinates / 100, -1 as the distance
        from behind the target, and entry 6 and an edge's entry 3 without effect, as in MAMBA's code.  Otherwise
        distances are shares of half the map's perimeter, at most 2, which also stands for infinite; coordinates are
        shares of the sides of the map; and entries 4 and 5 of an edge behind the target are 0.
        """
        self._rails = rails
        self._published, self._sight = published, sight
        self._count = rails.targets.size
        self._own = np.arange(self._count)
        self._none = rails.end.size - 1
        height, width = rails.grid.shape
        self._sides = (100, 100) if published else (height, width)
        self._half_perimeter = height + width
        self._heading_index = rails.index[: height * width * 4].reshape(-1, 4)
        absent = rails.tree == self._none  # [V + 1, 14]
        merge = np.full(rails.tree.shape, np.inf) if published else rails.merge[rails.tree]
        # [V + 1, 14, 14], edges without trains; entries 0, 4 and 5 are each train's own.
        self._edges = np.empty((*rails.tree.shape, PER_EDGE), dtype=np.float32)
        self._edges[...] = (0, self._distance(np.inf), 0, 0, 0, 0, -1, -1, -1, -1, -1, 1, 1, -1)
        self._edges[..., 2] = self._distance(rails.length[rails.tree].astype(np.float64))
        self._edges[..., 3] = self._distance(merge)
        self._edges[absent] = 0.0
        self._ways = np.stack([self._to_target(train, absent) for train in range(self._count)])  # [N, V + 1, 14, 3]
        self._left = self._distance(rails.distance).astype(np.float32)  # [N, V + 1]
        # [V + 1, 9], the same for the numbers about a train itself.
        self._selves = np.empty((self._none + 1, OWN), dtype=np.float32)
        self._selves[:, 0], self._selves[:, 1] = self._coordinates(rails.cell)
        self._selves[:, 6] = -1.0 if published else np.where(rails.on_switch, 1.0, -1.0)
        next_cell = (rails.length[rails.tree[:, 0]] == 1) | (merge[:, 0] == 1)
        self._selves[:, 7] = np.where(~absent[:, 0] & absent[:, 1] & next_cell, 1.0, -1.0)

    def _to_target(self, train: int, absent: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """float32 [V + 1, 14, 3], entries 0, 4 and 5 of all edges for a train."""
        rails = self._rails
        left = rails.distance[train][rails.end[rails.tree]]  # from the end of each edge
        at_target = left == 0
        behind = np.zeros(left.shape, dtype=bool)
        behind[:, _SECOND] = at_target[:, _OVER_SECOND]
        behind[:, _THIRD] = at_target[:, _OVER_THIRD] | behind[:, _OVER_THIRD]
        left[behind] = -1.0
        at_end = self._distance(left)
        at_start = np.empty(left.shape)
        at_start[:, :2] = self._distance(rails.distance[train])[:, None]
        at_start[:, 2:] = at_end[:, _OVER]
        through = self._distance(left + rails.length[rails.tree]) - at_start
        ways = np.stack([np.where(behind, -1.0, 1.0), at_end - at_start, through], axis=-1)
        if not self._published:
            ways[behind, 1:] = 0.0
        ways[absent] = 0.0
        numbers: npt.NDArray[np.float32] = ways.astype(np.float32)
        return numbers

    def look(self, trains: Trains) -> Sight:
        """Return what every train sees; see the module for the entries."""
        place, count = trains.place, self._count
        full = np.empty((count, OBSERVATION_SIZE), dtype=np.float32)
        full[:, :OWN] = self._selves[place]
        full[:, 2] = trains.identity
        full[:, 3] = np.where(trains.deadlocked, 1.0, -1.0)
        full[:, 4] = np.where(trains.broken, -1.0, 1.0)
        full[:, 5] = self._left[self._own, place]
        full[:, 8] = np.where(trains.on_map, -1.0, 1.0)
        full[~trains.on_map, 6] = -1.0
        nowhere = place == self._none
        if nowhere.any():  # arrived, or waiting where no rail leads anywhere
            full[nowhere, 0], full[nowhere, 1] = self._coordinates(trains.start[nowhere])
        edges = self._edges[place].reshape(-1, PER_EDGE)
        ways = self._ways[self._own, place].reshape(-1, 3)
        edges[:, 0] = ways[:, 0]
        edges[:, 4:6] = ways[:, 1:]
        first = np.full(count * EDGES, -1)
        self._show_traffic(trains, edges, first)
        full[:, OWN:] = edges.reshape(count, -1)
        full[trains.arrived] = 0.0
        return Sight(observation=full, edge_train=first.reshape(count, EDGES))

    def _show_traffic(self, trains: Trains, edges: npt.NDArray[np.float32], first: npt.NDArray[np.int64]) -> None:
        """Write the trains on the edges [N * 14, 14] into them, and the first that can move into `first` [N * 14]."""
        met = self._meetings(trains)
        if self._sight is not None:
            met = self._in_sight(met, trains.place, cells=self._sight)
        if not met:
            return
        deadlocked = trains.deadlocked.tolist()
        numbers, blocked = [], []
        for edge, meetings in met.items():
            same = sum(along for _, _, along in meetings)
            others = [train for _, train, along in meetings if not along]
            movable = [meeting for meeting in meetings if not deadlocked[meeting[1]]]
            _, handle, along_first = min(movable) if movable else (0, -1, True)
            # Of the train of highest index; where a line passes it twice, as it is met first.
            along_highest = max((train, -cells, along) for cells, train, along in meetings)[2]
            first[edge] = handle
            if len(movable) < len(meetings):
                blocked.append(edge)
            numbers.append(
                [
                    *(min(meetings)[0], same >= 1, same >= 2, len(others) >= 1, len(others) >= 2),
                    *(bool(others) and max(others) > edge // EDGES, along_first, along_highest),
                    len(movable) < len(meetings),
                ]
            )
        written = np.array(numbers, dtype=np.float64)  # [edges met, 9]
        where = list(met)
        edges[where, 1] = self._distance(written[:, 0])
        edges[where, 6:14] = 2.0 * written[:, 1:] - 1.0
        hidden = [edge - edge % EDGES + behind for edge in blocked for behind in _BEHIND[edge % EDGES]]
        edges[hidden] = 0.0
        first[hidden] = -1

    def _meetings(self, trains: Trains) -> dict[int, list[tuple[int, int, bool]]]:
        """(cells away, train, going the same way) for the edges, counted train * 14 + edge, on which trains are.

        A train counts twice on a line that passes it twice.
        """
        rails = self._rails
        seen = np.flatnonzero(trains.on_map)
        places = trains.place[seen]
        # A train may be passed in any heading in which its cell can be entered.
        passed = self._heading_index[rails.cell[places]]  # [seen, 4]
        which, heading = np.nonzero(passed < self._none)
        at = passed[which, heading]
        starts = rails.tree[trains.place].reshape(-1)
        # Below zero wraps round to far above every count, so one comparison finds both ends.
        ahead = (rails.order[starts][:, None] - rails.order[at]).view(np.uint32)
        edge, hit = np.divmod(np.flatnonzero(ahead < rails.upstream[at]), max(at.size, 1))
        cells = rails.length[starts[edge]] - rails.length[at[hit]] + 1
        train, along = seen[which], heading == rails.heading[places][which]
        met: dict[int, list[tuple[int, int, bool]]] = {}
        hits = zip(edge.tolist(), cells.tolist(), train[hit].tolist(), along[hit].tolist(), strict=True)
        for where, *meeting in hits:
            met.setdefault(where, []).append(tuple(meeting))
        return met

    def _in_sight(
        self, met: dict[int, list[tuple[int, int, bool]]], place: npt.NDArray[np.int64], *, cells: int
    ) -> dict[int, list[tuple[int, int, bool]]]:
        """Those of `_meetings` that are near enough."""
        lengths = self._rails.length[self._rails.tree[place]]  # [N, 14]
        before = np.zeros_like(lengths)
        before[:, _SECOND] = lengths[:, _OVER_SECOND]
        before[:, _THIRD] = lengths[:, _OVER_THIRD] + before[:, _OVER_THIRD]
        near = cells - before.reshape(-1)
        seen = {edge: [one for one in meetings if one[0] <= near[edge]] for edge, meetings in met.items()}
        return {edge: meetings for edge, meetings in seen.items() if meetings}

    def _coordinates(self, cell: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        row, column = np.divmod(cell, self._rails.grid.shape[1])
        return row / self._sides[0], column / self._sides[1]

    def _distance(self, cells: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
        if self._published:
            return np.where(np.isinf(cells), 0.0, np.asarray(cells) / 100.0 - 10)
        shares: npt.NDArray[np.float64] = np.minimum(np.asarray(cells) / self._half_perimeter, _FARTHEST)
        return shares
