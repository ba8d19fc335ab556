"""RGB arrays as PNG, with the standard library alone: images of the roles hold no picture library.

Source: the PNG specification (W3C), with one IDAT chunk and no filtering of lines.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.errors import OutputFailed, WorldError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB_8_BIT = (8, 2, 0, 0, 0)  # depth, colour type, compression, filter, interlace


def write_png(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """Write uint8 [height, width, 3].  Raises WorldError for another shape or type, OutputFailed for a full disk."""
    data = png(pixels)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputFailed(
            f"cannot write {path}: {error.strerror}", remedy="Make room, or name another place"
        ) from error


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The file of uint8 [height, width, 3].  Raises WorldError for another shape or type."""
    check_picture(pixels)
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each begins with the number of its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">II5B", width, height, *_RGB_8_BIT)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(lines.tobytes())), _chunk(b"IEND", b""))
    return _SIGNATURE + b"".join(chunks)


def check_picture(pixels: object) -> None:
    """Raises WorldError unless it is uint8 [height, width, 3]."""
    if not isinstance(pixels, np.ndarray):
        raise WorldError(f"a picture is uint8 [height, width, 3], not a {type(pixels).__name__}")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise WorldError(f"a picture is uint8 [height, width, 3], not {pixels.dtype} {list(pixels.shape)}")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
