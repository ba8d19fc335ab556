"""Files that are not waited for: a test ends long before its machine does, and its folders go with it."""

from __future__ import annotations

import os


def write_quickly() -> None:
    """From now on: whoever asks that a file be on the disk goes on at once."""
    os.fsync = _asked  # type: ignore[assignment]


def _asked(file: int) -> None:
    os.fstat(file)  # which is refused as fsync would be, for a file that is closed
