"""What is in a folder, to be compared with what was there before or is elsewhere."""

from __future__ import annotations

from pathlib import Path


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file beneath, by its path in the folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
