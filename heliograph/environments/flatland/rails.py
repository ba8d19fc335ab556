"""The rails of one Flatland episode as arrays: what never changes between its reset and its end.

A *configuration* is a rail cell together with the heading with which a train enters it.  A *line* is the way from a
configuration onwards until there is something to decide: a switch with a choice, a dead end, or the target of any
train.  Every configuration before that has exactly one successor, so lines form trees that grow backwards from their
ends, and one preorder of those trees answers "does this line pass there?" with two comparisons.

Axis legend: V valid configurations, index V stands for "none"; N trains; H, W cells; headings 0 N, 1 E, 2 S, 3 W.
For `heliograph.environments`; imports no simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.errors import WorldError

MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])
"""(row, column) of a step by heading."""

EDGES = 14
"""Edges of a binary tree of depth 3, counted breadth first."""

_Integers = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]

_TURNS = (-1, 0, 1, 2)
"""Left, forward, right, back: the order of branches everywhere."""

_CROSSING = 0b1000010000100001
"""A diamond crossing; for whoever follows a line it is two straight rails."""


@dataclass(frozen=True, kw_only=True)
class Rails:
    """Rails, targets and distances of one episode."""

    grid: npt.NDArray[np.uint16]
    """uint16 [H, W], transition bits of the simulator; 0 where there is no rail."""
    targets: _Integers
    """int [N], cell (row * W + column) of each train's target."""
    index: _Integers
    """int [H * W * 4 + 4], the configuration of (cell, heading) at cell * 4 + heading, or V; the last four are V."""
    cell: _Integers
    """int [V + 1], row * W + column; -1 for V."""
    heading: _Integers
    """int [V + 1]; -1 for V."""
    exits: _Integers
    """int [V + 1, 2], successors in the order left, forward, right, back; V where there is no first or second one."""
    tree: _Integers
    """int [V + 1, 14], where each edge of the depth-3 tree that starts here begins, breadth first; V where absent."""
    end: _Integers
    """int [V + 1], the configuration at which the line from here ends (itself, if that is at once)."""
    length: _Integers
    """int [V + 1], cells of that line, its end included; 0 for V."""
    merge: npt.NDArray[np.float64]
    """float [V + 1], cells until the first switch that only others can use, counted like `length`; inf without one."""
    order: npt.NDArray[np.int32]
    """int32 [V + 1], position in the preorder of the line trees."""
    upstream: npt.NDArray[np.uint32]
    """uint32 [V + 1], configurations whose line passes here, itself included: those of order `order` and following.
    0 for V."""
    distance: npt.NDArray[np.float64]
    """float [N, V + 1], cells to the train's target by the shortest path; inf where there is none."""
    decides: _Flags
    """bool [V + 1], on a switch or a target cell, or the next cell is one."""
    on_switch: _Flags
    """bool [V + 1], the cell has more than two transitions."""


def survey(grid: npt.NDArray[np.uint16], targets: _Integers) -> Rails:
    """Follow all lines of a grid [H, W] of transition bits for trains with targets [N, 2].

    Raises WorldError for rails with more than two ways on from somewhere, which the 14 edges cannot show.
    """
    height, width = grid.shape
    bits = grid.astype(np.int64).reshape(-1)
    shifts = 15 - np.arange(16)
    allowed = ((bits[:, None] >> shifts) & 1).reshape(-1, 4, 4).astype(bool)  # [H * W, heading, next heading]
    valid = allowed.any(-1).reshape(-1)
    places = np.flatnonzero(valid)
    none = places.size
    index = np.full(height * width * 4 + 4, none)
    index[places] = np.arange(none)
    cell, heading = places // 4, places % 4
    exits = _exits(allowed[cell, heading], cell, heading, index=index, shape=(height, width))
    totals = allowed.sum((1, 2))
    switch = totals > 2
    goals = targets[:, 0].astype(np.int64) * width + targets[:, 1]
    is_goal = np.zeros(height * width, dtype=bool)
    is_goal[goals] = True
    single = (exits[:none, 0] < none) & (exits[:none, 1] == none)
    # In a dead end there is one way on too, but a train that gets there has a decision to make: to turn.
    follows = single & (np.where(bits == _CROSSING, 2, totals)[cell] > 1) & ~is_goal[cell]
    end, length, order, upstream = _lines(exits[:none, 0], follows)
    tree = np.empty((none + 1, EDGES), dtype=np.int64)
    tree[:, :2] = exits
    beyond = exits[end]  # [V + 1, 2]
    tree[:, 2:6] = beyond[tree[:, :2]].reshape(-1, 4)
    tree[:, 6:] = beyond[tree[:, 2:6]].reshape(-1, 8)
    interesting = switch | is_goal
    next_cell = np.append(cell, 0)[exits]  # the one of V is never looked at
    nears = ((exits < none) & interesting[next_cell]).any(-1)[:none]
    only_others = single & switch[cell] & (bits[cell] != _CROSSING) & ~is_goal[cell]
    return Rails(
        grid=grid,
        targets=goals,
        index=index,
        cell=np.append(cell, -1),
        heading=np.append(heading, -1),
        exits=exits,
        tree=tree,
        end=end,
        length=length,
        merge=_first_on_line(only_others, follows, exits[:none, 0], length),
        order=order,
        upstream=upstream,
        distance=_distances(exits, np.append(cell, -1), end, length, goals),
        decides=np.append(interesting[cell] | nears, False),
        on_switch=np.append(switch[cell], False),
    )


def reached(rails: Rails, cell: int, *, cells: int) -> _Flags:
    """bool [H * W], cells at most that many steps along the rails away, in whichever direction trains may pass."""
    height, width = rails.grid.shape
    tails = np.repeat(rails.cell[:-1], 2)
    heads = rails.cell[rails.exits[:-1].reshape(-1)]
    tails, heads = tails[heads >= 0], heads[heads >= 0]
    found = np.zeros(height * width, dtype=bool)
    found[cell] = True
    for _ in range(cells):
        before = np.count_nonzero(found)
        nearby = np.concatenate([heads[found[tails]], tails[found[heads]]])
        found[nearby] = True
        if np.count_nonzero(found) == before:
            break
    return found


def _exits(
    allowed: _Flags,
    cell: _Integers,
    heading: _Integers,
    *,
    index: _Integers,
    shape: tuple[int, int],
) -> _Integers:
    """Successors [V + 1, 2] of the configurations, given the next headings bool [V, 4] that are allowed in each."""
    none = cell.size
    exits = np.full((none + 1, 2), none)
    found = np.zeros(none, dtype=np.int64)
    row, column = np.divmod(cell, shape[1])
    for turn in _TURNS:
        onward = (heading + turn) % 4
        step = MOVES[onward]
        to_row, to_column = row + step[:, 0], column + step[:, 1]
        inside = (to_row >= 0) & (to_row < shape[0]) & (to_column >= 0) & (to_column < shape[1])
        to_configuration = index[np.where(inside, to_row * shape[1] + to_column, shape[0] * shape[1]) * 4 + onward]
        possible = np.flatnonzero(allowed[np.arange(none), onward] & (to_configuration < none))
        if (found[possible] > 1).any():
            crowded = possible[found[possible] > 1][0]
            raise WorldError(f"rails with three ways on from row {row[crowded]}, column {column[crowded]}")
        exits[possible, found[possible]] = to_configuration[possible]
        found[possible] += 1
    return exits


def _lines(
    onward: _Integers, follows: _Flags
) -> tuple[_Integers, _Integers, npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
    """End, length, preorder and size of the part upstream, each [V + 1], of lines that go on where `follows` [V]."""
    none = onward.size
    successor = np.where(follows, onward, none).tolist()
    before: list[list[int]] = [[] for _ in range(none + 1)]
    for here, after in enumerate(successor):
        before[after].append(here)
    end, length = [none] * (none + 1), [0] * (none + 1)
    order, upstream = [none] * (none + 1), [1] * (none + 1)
    count = 0
    # A ring of rails without anything to decide has no end; it is cut at its first configuration.
    for root in [*before[none], *range(none)]:
        if length[root]:
            continue
        stack, visited = [(root, 1)], []
        while stack:
            here, cells = stack.pop()
            if length[here]:
                continue
            end[here], length[here], order[here] = root, cells, count
            count += 1
            visited.append(here)
            stack += [(other, cells + 1) for other in before[here]]
        for here in reversed(visited):
            if here != root:
                upstream[successor[here]] += upstream[here]
    upstream[none] = 0
    return np.array(end), np.array(length), np.array(order, dtype=np.int32), np.array(upstream, dtype=np.uint32)


def _first_on_line(marked: _Flags, follows: _Flags, onward: _Integers, length: _Integers) -> npt.NDArray[np.float64]:
    """Cells [V + 1] until the first `marked` configuration [V] of each line, 1 for its own; inf without one."""
    first = np.full(marked.size + 1, np.inf)
    for here in np.argsort(length[:-1], kind="stable").tolist():  # what comes later on a line is shorter
        first[here] = 1.0 if marked[here] else first[onward[here]] + 1.0 if follows[here] else np.inf
    return first


def _distances(
    exits: _Integers,
    cell: _Integers,
    end: _Integers,
    length: _Integers,
    goals: _Integers,
) -> npt.NDArray[np.float64]:
    """Shortest ways [N, V + 1] to the goal cells [N].  Goals end lines, so only ends of lines need to be searched."""
    ends = np.unique(end)
    place = np.zeros(end.size, dtype=np.int64)
    place[ends] = np.arange(ends.size)
    onward = exits[ends]  # [ends, 2]
    after, cells = place[end[onward]], length[onward].astype(np.float64)
    cells[onward == end.size - 1] = np.inf
    distance = np.where(cell[ends] == goals[:, None], 0.0, np.inf)
    while True:
        shorter = np.minimum(distance, (distance[:, after] + cells).min(-1))
        if np.array_equal(shorter, distance):
            break
        distance = shorter
    whole: npt.NDArray[np.float64] = distance[:, place[end]] + np.maximum(length - 1, 0)
    return whole
