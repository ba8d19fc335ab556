"""Pictures of a world, one after the other, as an animated GIF.  Pillow is loaded where one is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.errors import OutputFailed

FRAME_MS, LAST_FRAME_MS = 250, 1500
"""How long each state is shown, and the last one."""


def write_gif(frames: Sequence[npt.NDArray[np.uint8]], path: Path) -> None:
    """Write uint8 [height, width, 3] each, to be shown again and again.  Raises OutputFailed if the disk refuses."""
    from PIL import Image

    first, *others = (Image.fromarray(pixels) for pixels in frames)
    durations = [FRAME_MS] * len(others) + [LAST_FRAME_MS]
    try:
        first.save(path, save_all=True, append_images=others, duration=durations, loop=0)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror or error}", remedy="Name another file") from error
