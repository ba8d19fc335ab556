"""What a run folder says of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.errors import SettingsError
from heliograph.reading import SMALL, read_json
from heliograph.run_format import run_fields


def training_settings(path: Path) -> dict[str, Any] | None:
    """The settings of a run folder's training; None for a folder of bundles.  Raises SettingsError."""
    file = path / "settings.json"
    try:
        settings = read_json(file, limit=SMALL)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    return run_fields(settings, file) if isinstance(settings, dict) else None
