"""Draws a battle of SMAX into an RGB array, with numpy alone.

A disc per living unit, blue for the team and orange for the enemy, with the letter of its type and a bar of its
health; a line to the unit that it attacks; a grey cross where a unit has died.
For `heliograph.environments.smax`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliograph.environments.drawing import BACKGROUND, COLOURS, LINE

if TYPE_CHECKING:
    from heliograph.environments.smax_battle import Units

PIXELS_PER_UNIT = 20
UNITS_PER_LINE = 4
DEAD, HURT, LETTER = (176, 172, 165), (214, 210, 204), (255, 255, 255)
LETTERS = {
    "m": ("     ", "     ", "## # ", "# # #", "# # #", "# # #", "# # #"),
    "M": ("#   #", "## ##", "# # #", "# # #", "#   #", "#   #", "#   #"),
    "s": ("     ", "     ", " ####", "#    ", " ### ", "    #", "#### "),
    "Z": ("#####", "    #", "   # ", "  #  ", " #   ", "#    ", "#####"),
    "z": ("     ", "     ", "#####", "   # ", "  #  ", " #   ", "#####"),
    "h": ("#    ", "#    ", "#    ", "# ## ", "##  #", "#   #", "#   #"),
}


def draw(units: Units) -> np.ndarray:
    """uint8 [height * 20 + 1, width * 20 + 1, 3], the upper border of the map on top."""
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
        _disc(picture, place[unit], radius[unit], team[unit])
        _letter(picture, place[unit], units.letter[unit])
        _bar(picture, place[unit] - (radius[unit] + 4, 0), radius[unit], units.health[unit], team[unit])
    return picture


def _disc(picture: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    first = np.maximum(centre - radius, 0).astype(int)
    last = (centre + radius + 2).astype(int)
    patch = picture[first[0] : last[0], first[1] : last[1]]
    rows, columns = np.ogrid[: patch.shape[0], : patch.shape[1]]
    patch[np.hypot(rows + first[0] - centre[0], columns + first[1] - centre[1]) <= radius] = colour


def _cross(picture: np.ndarray, centre: np.ndarray, radius: float) -> None:
    for slope in (1, -1):
        arm = 0.7 * radius * np.array([slope, 1])
        _line(picture, centre - arm, centre + arm, np.array(DEAD))


def _line(picture: np.ndarray, start: np.ndarray, end: np.ndarray, colour: np.ndarray) -> None:
    """Two pixels thick."""
    share = np.linspace(0.0, 1.0, 2 + int(2 * np.abs(end - start).max()))[:, None]
    points = (start + share * (end - start)).astype(int)
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        rows, columns = np.clip(points + shift, 0, np.array(picture.shape[:2]) - 1).T
        picture[rows, columns] = colour


def _letter(picture: np.ndarray, centre: np.ndarray, letter: str) -> None:
    ink = np.argwhere([[mark == "#" for mark in line] for line in LETTERS[letter]])
    rows, columns = np.clip(ink + np.rint(centre).astype(int) - (3, 2), 0, np.array(picture.shape[:2]) - 1).T
    picture[rows, columns] = LETTER


def _bar(picture: np.ndarray, centre: np.ndarray, reach: float, share: float, colour: np.ndarray) -> None:
    row, left, right = (int(value) for value in (centre[0], centre[1] - reach, centre[1] + reach))
    top, first = max(row - 1, 0), max(left, 0)
    picture[top : max(row + 2, 0), first : max(right, 0)] = HURT
    picture[top : max(row + 2, 0), first : max(left + round((right - left) * float(share)), 0)] = colour
