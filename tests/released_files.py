"""What released versions have left: unpacks tests/released/<commit>.tar.xz, which tests/released/make.py made."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "released"
VERSIONS = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*.tar.xz"))
"""By commit."""


def unpacked(version: str, factory: pytest.TempPathFactory) -> Path:
    """A fresh folder with everything that a version has left."""
    folder = factory.mktemp("released")
    with tarfile.open(FOLDER / f"{version}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / version
