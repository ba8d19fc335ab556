"""Drawing of grid worlds into RGB arrays, with numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CELL_PIXELS = 48
BACKGROUND, LINE, ROAD = (250, 249, 246), (205, 203, 198), (226, 224, 219)
COLOURS = np.array(
    [(27, 110, 194), (214, 94, 18), (26, 143, 97), (172, 62, 148), (196, 154, 10), (92, 84, 171), (120, 72, 50)]
)
"""Distinguishable for the colour-blind as well; slots beyond them start again."""


@dataclass(frozen=True)
class Canvas:
    """A grid of cells, uint8 pixels [rows * 48 + 1, columns * 48 + 1, 3]; cells are addressed as (row, column)."""

    pixels: npt.NDArray[np.uint8]

    @classmethod
    def grid(cls, rows: int, columns: int | None = None) -> Canvas:
        columns = rows if columns is None else columns
        pixels = np.empty((rows * CELL_PIXELS + 1, columns * CELL_PIXELS + 1, 3), dtype=np.uint8)
        pixels[:] = BACKGROUND
        pixels[::CELL_PIXELS] = LINE
        pixels[:, ::CELL_PIXELS] = LINE
        return cls(pixels)

    def disc(self, cell: npt.NDArray[Any], slot: int, slots: int) -> None:
        """A filled disc; with several slots it is put off the centre, so that agents in one cell stay visible."""
        angle = 2 * np.pi * slot / max(slots, 1)
        offset = 9 * np.array([np.sin(angle), np.cos(angle)]) if slots > 1 else np.zeros(2)
        self._paint(_centre(cell) + offset, slot, radius=10)

    def fill(self, cell: npt.NDArray[Any]) -> None:
        """A cell in the colour of roads and walls, within its lines."""
        top, left = (int(edge) * CELL_PIXELS + 1 for edge in cell)
        self.pixels[top : top + CELL_PIXELS - 1, left : left + CELL_PIXELS - 1] = ROAD

    def ring(self, cell: npt.NDArray[Any], slot: int) -> None:
        radius = 21 - 3 * (slot % 4)  # targets in one cell are drawn inside one another
        self._paint(_centre(cell), slot, radius=radius, hole=radius - 3)

    def arrow(self, start: npt.NDArray[Any], end: npt.NDArray[Any], slot: int) -> None:
        """A thin line from one cell towards another, thickening where it arrives."""
        first, last = _centre(start), _centre(end)
        for share in np.linspace(0.25, 0.75, 48):
            thickness = 0.8 + 2.4 * max(0.0, share - 0.65) / 0.1
            self._paint(first + share * (last - first), slot, radius=thickness)

    def _paint(self, centre: npt.NDArray[np.float64], slot: int, *, radius: float, hole: float = -1.0) -> None:
        """What is at most `radius` and more than `hole` away; looks at no pixel that is farther."""
        top, left = np.maximum(np.floor(centre - radius), 0).astype(int)
        bottom, right = np.ceil(centre + radius).astype(int) + 1
        window = self.pixels[top:bottom, left:right]
        rows, columns = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
        distance = np.hypot(rows - centre[0], columns - centre[1])
        window[(distance <= radius) & (distance > hole)] = COLOURS[slot % len(COLOURS)]


def _centre(cell: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return (np.asarray(cell, dtype=float) + 0.5) * CELL_PIXELS
