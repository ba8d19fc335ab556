"""Roads, entries and routes of Traffic Junction, by the definitions of IC3Net (Singh et al., 2019, arXiv 1812.09755).

Easy: two one-way roads of one lane that cross, from the top and from the left.  Medium: two roads of two lanes, one for
each direction, four entries and three routes from each.  Hard: two such roads each way, four junctions, eight entries
and seven routes from each.  Cars drive on the right.  A route is what a car has decided at the first junction, and at
the second where there is one: straight on, right or left; beyond that it goes straight on.

Axis legend: C road cells, R routes, L cells of the longest route.
For `heliograph.environments.traffic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Difficulty = Literal["easy", "medium", "hard"]
_Pair = tuple[int, int]

_DOWN, _UP, _RIGHT, _LEFT = (1, 0), (-1, 0), (0, 1), (0, -1)
_STRAIGHT, _TURN_RIGHT, _TURN_LEFT = range(3)


@dataclass(frozen=True, kw_only=True)
class Roads:
    """The map of one difficulty."""

    size: int
    """Rows, and columns, of the grid."""
    cells: npt.NDArray[np.int64]
    """int [C, 2], (row, column) of every road cell, row by row."""
    path: npt.NDArray[np.int64]
    """int [R, L + 1], the road cells of every route; C from its end on."""
    length: npt.NDArray[np.int64]
    """int [R], cells of each route."""
    entries: int
    """Where cars arrive, in the order in which they do."""

    @property
    def routes_per_entry(self) -> int:
        """Routes r k to r k + k - 1 are those from entry r, where k is this."""
        return len(self.length) // self.entries


@lru_cache(maxsize=32)
def roads(difficulty: Difficulty, size: int) -> Roads:
    """The map of a difficulty on a grid of `size` rows and columns; `problem` says which there are."""
    entries = _entries(difficulty, size)
    every = [_routes(cell, heading, difficulty, size) for cell, heading in entries]
    cells = sorted({cell for routes in every for route in routes for cell in route})
    number = {cell: index for index, cell in enumerate(cells)}
    flat = [route for routes in every for route in routes]
    path = np.full((len(flat), max(map(len, flat)) + 1), len(cells))
    for index, route in enumerate(flat):
        path[index, : len(route)] = [number[cell] for cell in route]
    length = np.array([len(route) for route in flat])
    return Roads(size=size, cells=np.array(cells), path=path, length=length, entries=len(entries))


def problem(difficulty: Difficulty, size: int) -> str:
    """Why there is no such map, as the end of a sentence; empty if there is one."""
    if difficulty == "easy":
        return "" if size >= 3 and size % 2 else "an odd number of rows from 3 on, for its roads cross in the middle"
    if difficulty == "medium":
        return "" if size >= 4 and size % 2 == 0 else "an even number of rows from 4 on, for its roads have two lanes"
    return "" if size >= 9 and size % 3 == 0 else "a number of rows from 9 on that three divides, for it has two roads"


def _entries(difficulty: Difficulty, size: int) -> list[tuple[_Pair, _Pair]]:
    """First cell and heading of each lane that cars enter by."""
    last = size - 1
    if difficulty == "easy":
        return [((0, size // 2), _DOWN), ((size // 2, 0), _RIGHT)]
    if difficulty == "medium":
        half = size // 2
        return [((0, half - 1), _DOWN), ((last, half), _UP), ((half, 0), _RIGHT), ((half - 1, last), _LEFT)]
    near, far = size // 3 - 2, 2 * size // 3  # the first lanes of the two roads
    down, up = [((0, column), _DOWN) for column in (near, far)], [((last, column + 1), _UP) for column in (near, far)]
    right, left = [((row + 1, 0), _RIGHT) for row in (near, far)], [((row, last), _LEFT) for row in (near, far)]
    return [*down, *right, *up, *left]


def _routes(start: _Pair, heading: _Pair, difficulty: Difficulty, size: int) -> list[list[_Pair]]:
    if difficulty == "easy":
        return [_drive(start, heading, (), set(), size)[0]]
    lanes = _entries(difficulty, size)
    rows = {cell[0] for cell, move in lanes if move[1]}
    columns = {cell[1] for cell, move in lanes if move[0]}
    crossings = {(row, column) for row in rows for column in columns}
    turns = (_STRAIGHT, _TURN_RIGHT, _TURN_LEFT)
    found: list[list[_Pair]] = []
    for first in turns:
        for second in turns if difficulty == "hard" else (_STRAIGHT,):
            path, junctions = _drive(start, heading, (first, second), crossings, size)
            found.append(path)
            if junctions == 1:  # out already, so that there is nothing more to decide
                break
    return found


def _drive(
    start: _Pair, heading: _Pair, turns: tuple[int, ...], crossings: set[_Pair], size: int
) -> tuple[list[_Pair], int]:
    """The cells from an entry out of the map, and how many junctions lie on the way; `turns` are for the first."""
    path, junctions = [start], 0
    while True:
        ahead = _moved(path[-1], heading)
        if not (0 <= ahead[0] < size and 0 <= ahead[1] < size):
            return path, junctions
        path.append(ahead)
        if ahead not in crossings:
            continue
        turn = turns[junctions] if junctions < len(turns) else _STRAIGHT
        junctions += 1
        if turn == _TURN_RIGHT:
            heading = (heading[1], -heading[0])
            continue
        path.append(_moved(ahead, heading))
        if turn == _TURN_LEFT:
            heading = (-heading[1], heading[0])
            path.append(_moved(path[-1], heading))


def _moved(cell: _Pair, heading: _Pair) -> _Pair:
    return cell[0] + heading[0], cell[1] + heading[1]
