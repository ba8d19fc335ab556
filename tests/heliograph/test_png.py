"""PNG files are read back by a library as the pixels that were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heliograph.environments.png import write_png
from heliograph.errors import OutputFailed, WorldError


def test_a_library_reads_back_the_pixels(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with the trainer's matplotlib")
    pixels = np.random.default_rng(0).integers(256, size=(7, 13, 3), dtype=np.uint8)
    write_png(pixels, tmp_path / "picture.png")
    with image.open(tmp_path / "picture.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)], ids=str
)
def test_what_is_no_picture_is_refused(pixels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="a picture is"):
        write_png(pixels, tmp_path / "picture.png")


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match=r"missing/picture\.png"):
        write_png(np.zeros((2, 2, 3), np.uint8), tmp_path / "missing" / "picture.png")
