"""Arguments that name what a command writes: what cannot be written is refused before the work, and not after it.

`parser.add_argument("--json", type=output_file)`: a path is tried as soon as it is read.  A disk may still be full once
the work is done; then what was found has been shown before it is refused (`OutputFailed`).
"""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from pathlib import Path

from heliograph.errors import OutputFailed

STDOUT = Path("-")


def output_file(text: str) -> Path:
    """A file that will be written, in a folder that is made for it if need be, or `-`.

    Raises ArgumentTypeError with the reason if it cannot be.
    """
    path = Path(text)
    if path != STDOUT and (refusal := _refusal_of_file(path)):
        raise ArgumentTypeError(f"cannot write {path}: {refusal}")
    return path


def output_folder(text: str) -> Path:
    """A folder that will be written into, and made if need be.  Raises ArgumentTypeError as `output_file` does."""
    path = Path(text)
    if refusal := _refusal_of_folder(path):
        raise ArgumentTypeError(f"cannot write to {path}: {refusal}")
    return path


def check_output_folder(path: Path) -> None:
    """The same of a folder that no argument names.  Raises OutputFailed."""
    if refusal := _refusal_of_folder(path):
        raise OutputFailed(f"cannot write to {path}: {refusal}", remedy="Name another folder")


def _refusal_of_file(path: Path) -> str:
    try:
        if path.is_dir():
            return "it is a folder"
        if not path.exists():
            return _refusal_of_folder(path.parent)
        if path.is_file():  # a pipe or a terminal is opened once there is something to say
            os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        return _reason(error)
    return ""


def _refusal_of_folder(path: Path) -> str:
    """Tried by a file without a name in what is there of the path: `os.access` tells nothing of a root's /proc."""
    # Here and not above: commands are parsed before anything is loaded that one of them may not need.
    from tempfile import TemporaryFile

    try:
        there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if not there.is_dir():
            return f"{there} is no folder"
        with TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return _reason(error)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
