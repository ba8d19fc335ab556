"""Pictures of Flatland: rails, targets, and trains as they go, wait, break down or are stuck.

Each train has a colour and its number: an arrow where it is, a square with a rim where it wants to go, a pale arrow
where it waits to depart.  A broken train has a yellow rim, a deadlocked one a black rim and a cross behind it; the
target of one that has arrived is filled.  For `heliograph.environments`; imports Pillow, which comes with flatland.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from heliograph.environments.drawing import BACKGROUND, COLOURS, LINE
from heliograph.environments.flatland.observation import Trains
from heliograph.environments.flatland.rails import MOVES, Rails

LONGEST_SIDE_PIXELS = 960
_SMALLEST_CELL, _LARGEST_CELL = 10, 36
_FINE = 2
"""Pixels drawn for each that is shown, so that edges come out smooth."""

_RAIL, _BROKEN, _STUCK, _WHITE = (120, 117, 112), (240, 190, 20), (20, 20, 20), (255, 255, 255)
_CURVE = np.linspace(0.0, 1.0, 9)[:, None]
_ARROW = np.array([[-0.42, 0.0], [-0.1, 0.32], [0.36, 0.32], [0.36, -0.32], [-0.1, -0.32]])
"""Corners of a train that heads north, as (row, column) from its centre, in cells."""


def cell_pixels(rails: Rails) -> int:
    """Side of a cell in the picture."""
    return int(np.clip(LONGEST_SIDE_PIXELS // max(rails.grid.shape), _SMALLEST_CELL, _LARGEST_CELL))


def empty_map(rails: Rails) -> Image.Image:
    """The rails alone, `_FINE` times as large as the picture; the same for all steps of an episode."""
    side = cell_pixels(rails) * _FINE
    height, width = rails.grid.shape
    image = Image.new("RGB", (width * side, height * side), BACKGROUND)
    pen = ImageDraw.Draw(image)
    for row in range(height + 1):
        pen.line([(0, row * side), (width * side, row * side)], fill=LINE)
    for column in range(width + 1):
        pen.line([(column * side, 0), (column * side, height * side)], fill=LINE)
    for place, ways in enumerate(rails.exits[:-1].tolist()):
        centre = _centre(int(rails.cell[place]), width)
        enters = centre - 0.5 * MOVES[rails.heading[place]]
        for way in ways:
            if way < rails.end.size - 1:
                leaves = centre + 0.5 * MOVES[rails.heading[way]]
                bend = (1 - _CURVE) ** 2 * enters + 2 * _CURVE * (1 - _CURVE) * centre + _CURVE**2 * leaves
                pen.line(_points(bend, side), fill=_RAIL, width=max(2, side // 8), joint="curve")
    return image


def picture(rails: Rails, trains: Trains, rails_image: Image.Image) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, 3] of the trains on `rails_image`, an `empty_map`."""
    side = cell_pixels(rails) * _FINE
    image = rails_image.copy()
    pen = ImageDraw.Draw(image)
    width = rails.grid.shape[1]
    font = ImageFont.load_default(size=side * 0.5)
    count = trains.place.size
    for train in range(count):
        centre = _centre(int(rails.targets[train]), width)
        # Targets in one cell are drawn inside one another.
        inset = 0.34 - 0.08 * (np.count_nonzero(rails.targets[:train] == rails.targets[train]) % 4)
        corners = _points(np.stack([centre - inset, centre + inset]), side)
        fill = _colour(train) if trains.arrived[train] else _WHITE
        pen.rectangle(corners, fill=fill, outline=_colour(train), width=max(2, side // 9))
    # Those on the map last, so that nobody hides them.
    for train in sorted(range(count), key=lambda one: bool(trains.on_map[one])):
        if trains.arrived[train]:
            continue
        on_map = bool(trains.on_map[train])
        cell = int(rails.cell[trains.place[train]] if on_map else trains.start[train])
        centre = _centre(cell, width)
        body = _points(centre + _turned(_ARROW, int(rails.heading[trains.place[train]])), side)
        colour = _colour(train) if on_map else _pale(_colour(train))
        rim = _STUCK if trains.deadlocked[train] else _BROKEN if trains.broken[train] else _WHITE
        if trains.deadlocked[train]:
            for slant in (-0.5, 0.5):
                ends = centre + np.array([[-0.5, -slant], [0.5, slant]])
                pen.line(_points(ends, side), fill=_STUCK, width=max(2, side // 9))
        pen.polygon(body, fill=colour, outline=rim, width=max(2, side // 9))
        pen.text(_points(centre[None], side)[0], str(train), fill=_WHITE, font=font, anchor="mm")
    return np.asarray(image.resize((image.width // _FINE, image.height // _FINE), Image.Resampling.LANCZOS))


def _centre(cell: int, width: int) -> npt.NDArray[np.float64]:
    return np.array(divmod(cell, width)) + 0.5


def _points(places: npt.NDArray[np.float64], side: int) -> list[tuple[float, float]]:
    """(row, column) in cells as (x, y) in pixels."""
    return [(float(column) * side, float(row) * side) for row, column in places]


def _turned(shape: npt.NDArray[np.float64], heading: int) -> npt.NDArray[np.float64]:
    """A shape that heads north, turned to another heading."""
    for _ in range(max(heading, 0)):
        shape = np.stack([shape[:, 1], -shape[:, 0]], axis=1)
    return shape


def _colour(train: int) -> tuple[int, int, int]:
    red, green, blue = COLOURS[train % len(COLOURS)].tolist()
    return red, green, blue


def _pale(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = ((part + 2 * 235) // 3 for part in colour)
    return red, green, blue
