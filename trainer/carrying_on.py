"""What `train --resume-or-start` finds in a run folder.  Imports no torch: a finished run is left alone at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from heliograph.errors import SettingsError
from heliograph.reading import read_json
from heliograph.run_status import BUNDLES, SETTINGS, RunState, read_status
from trainer.settings import TrainSettings, read_settings

SHOWN = 5
"""Settings that differ are told one by one, so many of them."""


def is_done(path: Path) -> bool:
    """Whether the run is finished and its bundles are there.  Raises SettingsError as `read_status`."""
    return read_status(path).state is RunState.FINISHED and (path / BUNDLES).is_dir()


def is_begun(path: Path, wanted: TrainSettings, *, init_from: Path | None = None) -> bool:
    """Whether there is a run to go on with, which keeps the settings that it has.

    Tells how it ended before, and which of its settings are not the wanted ones.  Raises SettingsError if its settings
    or its status cannot be read, or it began with other networks than those of `init_from`.
    """
    status = read_status(path)
    if status.state is RunState.ABSENT:
        return False
    begun_with = begun_from(path)
    if init_from is not None and begun_with != init_from.resolve():
        whose = "random networks" if begun_with is None else f"those of {begun_with}"
        raise SettingsError(
            f"the run in {path} began with {whose}, not with those of {init_from}",
            remedy="Name another --folder, or leave out --init-from",
        )
    found = read_settings(path / SETTINGS)
    print(f"going on with {status.in_words(path)}", file=sys.stderr)
    if differing := list(_differing(found.model_dump(), wanted.model_dump())):
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        print(
            f"it keeps the settings that it was begun with: {', '.join(differing[:SHOWN])}{more}",
            file=sys.stderr,
            flush=True,
        )
    return True


def begun_from(path: Path) -> Path | None:
    """The run or snapshot whose networks a run began with; None: random ones.  Raises SettingsError."""
    try:
        about = read_json(path / "run.json")
        found = about.get("init_from")
    except (OSError, ValueError, AttributeError) as error:
        raise SettingsError(f"cannot read {path / 'run.json'}: {error}") from None
    return None if found is None else Path(found)


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any], *, prefix: str = "") -> Iterator[str]:
    for name, value in found.items():
        other = wanted.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            yield from _differing(value, other, prefix=f"{prefix}{name}.")
        elif value != other:
            yield f"{prefix}{name} {value!r}, not {other!r}"
