"""Pictures that nobody looks at: made with all that they show, and saved as one white pixel.

Half of the CPU time of a training of three iterations is matplotlib's, drawing the ticks of a curve.  What is about a
picture is marked `drawn`, and has it drawn.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

DRAWN = "HELIOGRAPH_TESTS_DRAWN"
"""The variable with which a process that a test starts has its pictures drawn."""


class QuickPictures:
    """Of a process."""

    def __init__(self) -> None:
        self._savefig: Any = None

    def begin(self) -> None:
        """From now on, where matplotlib is installed."""
        with suppress(ModuleNotFoundError):
            from matplotlib.figure import Figure
            from PIL import Image

            def save(_: Figure, file: Any, *, format: str | None = None, **_more: Any) -> None:
                Image.new("RGB", (1, 1), "white").save(file, format or Path(file).suffix[1:])

            self._savefig, Figure.savefig = Figure.savefig, save  # type: ignore[assignment,method-assign]

    def draw(self) -> None:
        """Again as matplotlib does."""
        if self._savefig is not None:
            from matplotlib.figure import Figure

            Figure.savefig, self._savefig = self._savefig, None  # type: ignore[method-assign]


QUICK_PICTURES = QuickPictures()
