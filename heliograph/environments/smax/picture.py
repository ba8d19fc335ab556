"""Draws a battle of SMAX into an RGB array, with numpy alone.

A disc per living unit, blue for the team and orange for the enemy, filled as high as its health, with the letter of its
type; a line of its colour to the unit that it attacked; a grey cross where a unit has died.
For `heliograph.environments.smax.environment`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.drawing import BACKGROUND, COLOURS, LINE

if TYPE_CHECKING:
    from heliograph.environments.smax.battle import Units

_Picture = npt.NDArray[np.uint8]
_Place = npt.NDArray[np.floating[Any]]
_Colour = npt.NDArray[np.int64]

PIXELS_PER_UNIT = 24
UNITS_PER_LINE = 4
DEAD, LETTER = np.array([176, 172, 165]), np.array([20, 20, 28])
RIM_PIXELS = 1.5
LETTERS = {
    "m": ("     ", "     ", "## # ", "# # #", "# # #", "# # #", "# # #"),
    "M": ("#   #", "## ##", "# # #", "# # #", "#   #", "#   #", "#   #"),
    "s": ("     ", "     ", " ####", "#    ", " ### ", "    #", "#### "),
    "Z": ("#####", "    #", "   # ", "  #  ", " #   ", "#    ", "#####"),
    "z": ("     ", "     ", "#####", "   # ", "  #  ", " #   ", "#####"),
    "h": ("#    ", "#    ", "#    ", "# ## ", "##  #", "#   #", "#   #"),
}


def draw(units: Units) -> _Picture:
    """uint8 [height * 24 + 1, width * 24 + 1, 3], the upper border of the map on top."""
    picture = np.empty((units.height * PIXELS_PER_UNIT + 1, units.width * PIXELS_PER_UNIT + 1, 3), dtype=np.uint8)
    picture[:] = BACKGROUND
    picture[:: PIXELS_PER_UNIT * UNITS_PER_LINE] = LINE
    picture[:, :: PIXELS_PER_UNIT * UNITS_PER_LINE] = LINE
    # [U, 2] rows and columns
    place = np.stack([units.height - units.position[:, 1], units.position[:, 0]], axis=1) * PIXELS_PER_UNIT
    radius = units.radius * PIXELS_PER_UNIT
    team = COLOURS[(np.arange(len(place)) >= units.allies).astype(int)]
    for unit in np.flatnonzero(~units.alive):
        _cross(picture, place[unit], radius[unit])
    for unit in np.flatnonzero(units.alive & (units.target >= 0)):
        _line(picture, place[unit], place[units.target[unit]], team[unit])
    for unit in np.flatnonzero(units.alive):
        _disc(picture, place[unit], radius[unit], units.health[unit], team[unit])
        _letter(picture, place[unit], units.letter[unit])
    return picture


def _disc(
    picture: _Picture,
    centre: _Place,
    radius: float,
    filled: float,
    colour: _Colour,
) -> None:
    first = np.maximum(centre - radius, 0).astype(int)
    last = (centre + radius + 2).astype(int)
    patch = picture[first[0] : last[0], first[1] : last[1]]
    rows, columns = np.ogrid[: patch.shape[0], : patch.shape[1]]
    down, right = rows + first[0] - centre[0], columns + first[1] - centre[1]
    distance = np.hypot(down, right)
    patch[distance <= radius] = (np.array(BACKGROUND) * 2 + colour) // 3
    patch[(distance <= radius) & (down >= radius * (1 - 2 * filled))] = colour
    patch[(distance <= radius) & (distance > radius - RIM_PIXELS)] = colour * 2 // 3


def _cross(picture: _Picture, centre: _Place, radius: float) -> None:
    for slope in (1, -1):
        arm = 0.7 * radius * np.array([slope, 1])
        _line(picture, centre - arm, centre + arm, DEAD)


def _line(
    picture: _Picture,
    start: _Place,
    end: _Place,
    colour: _Colour,
) -> None:
    """Two pixels thick."""
    share = np.linspace(0.0, 1.0, 2 + int(2 * np.abs(end - start).max()))[:, None]
    points = (start + share * (end - start)).astype(int)
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rows, columns = np.clip(points + shift, 0, np.array(picture.shape[:2]) - 1).T
        picture[rows, columns] = colour


def _letter(picture: _Picture, centre: _Place, letter: str) -> None:
    ink = np.argwhere([[mark == "#" for mark in line] for line in LETTERS[letter]])
    rows, columns = np.clip(ink + np.rint(centre).astype(int) - (3, 2), 0, np.array(picture.shape[:2]) - 1).T
    picture[rows, columns] = LETTER
