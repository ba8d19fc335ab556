"""Pictures of the built-in tasks: discs, frames and lines drawn into uint8 arrays [height, width, 3].

For `heliograph.environments` only.
"""

from __future__ import annotations

import numpy as np

CELL_PIXELS = 48

_PAPER = (250, 250, 246)
_RULE = (200, 200, 196)
# Okabe and Ito's palette, which the colour-blind can tell apart; agents beyond it start over.
_COLOURS = np.array(
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (0, 0, 0)]
)


def grid(size: int, *, cells: np.ndarray, targets: np.ndarray, hears: np.ndarray) -> np.ndarray:
    """A size x size board: agents at `cells` [N], their `targets` [N], and lines for `hears` bool [N, N]."""
    image = _ruled(size, size)
    for agent, target in enumerate(targets):
        _frame(image, *divmod(int(target), size), inset=3 + 4 * (agent % 5), colour=_colour(agent))
    centres = [_centre(divmod(int(cell), size), agent, len(cells)) for agent, cell in enumerate(cells)]
    for listener, speaker in np.argwhere(hears):
        middle = (centres[listener] + centres[speaker]) / 2
        _line(image, centres[listener], middle, colour=_colour(int(listener)))
    for agent, centre in enumerate(centres):
        _disc(image, centre, radius=CELL_PIXELS / 6, colour=_colour(agent))
    return image


def table(columns: int, *, targets: np.ndarray, played: np.ndarray) -> np.ndarray:
    """One row per agent: a frame in the column of its target, a disc in that of what it `played` [N] (-1: nothing)."""
    image = _ruled(len(targets), columns)
    for agent, target in enumerate(targets):
        _frame(image, agent, int(target), inset=5, colour=_colour(agent))
        if played[agent] >= 0:
            centre = (np.array([agent, played[agent]]) + 0.5) * CELL_PIXELS
            _disc(image, centre, radius=CELL_PIXELS / 5, colour=_colour(agent))
    return image


def _colour(agent: int) -> np.ndarray:
    return _COLOURS[agent % len(_COLOURS)]


def _ruled(rows: int, columns: int) -> np.ndarray:
    image = np.empty((rows * CELL_PIXELS + 1, columns * CELL_PIXELS + 1, 3), dtype=np.uint8)
    image[:] = _PAPER
    image[::CELL_PIXELS] = _RULE
    image[:, ::CELL_PIXELS] = _RULE
    return image


def _centre(place: tuple[int, int], agent: int, agents: int) -> np.ndarray:
    # Agents may share a cell, so each stands at its own spot around the middle.
    angle = 2 * np.pi * agent / agents
    spot = np.array([np.sin(angle), np.cos(angle)]) * (CELL_PIXELS / 5 if agents > 1 else 0)
    return (np.array(place) + 0.5) * CELL_PIXELS + spot


def _frame(image: np.ndarray, row: int, column: int, *, inset: int, colour: np.ndarray) -> None:
    top, left = row * CELL_PIXELS + inset, column * CELL_PIXELS + inset
    bottom, right = (row + 1) * CELL_PIXELS - inset + 1, (column + 1) * CELL_PIXELS - inset + 1
    image[top:bottom, left:right][_border(bottom - top, right - left)] = colour


def _border(height: int, width: int) -> np.ndarray:
    border = np.ones((height, width), dtype=bool)
    border[2:-2, 2:-2] = False
    return border


def _disc(image: np.ndarray, centre: np.ndarray, *, radius: float, colour: np.ndarray) -> None:
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    image[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2] = colour


def _line(image: np.ndarray, start: np.ndarray, end: np.ndarray, *, colour: np.ndarray) -> None:
    points = np.linspace(start, end, num=int(np.abs(end - start).max()) + 2).round().astype(np.int64)
    image[points[:, 0], points[:, 1]] = colour
