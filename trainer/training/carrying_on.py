"""What `train --resume-or-start` finds in a run folder.  Imports no torch: a finished run is left alone at once."""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.errors import SettingsError
from heliograph.reading import read_json
from heliograph.run_format import ABOUT, run_fields
from heliograph.run_status import BUNDLES, SETTINGS, RunState, read_status
from trainer.ranks.launched import leads
from trainer.training.settings import TrainSettings, differences, read_settings

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
    if not leads():
        return True
    print(f"going on with {status.in_words(path)}", file=sys.stderr)
    differing = [f"{name} {ours!r}, not {theirs!r}" for name, ours, theirs in differences(found, wanted)]
    if differing:
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        print(
            f"it keeps the settings that it was begun with: {', '.join(differing[:SHOWN])}{more}",
            file=sys.stderr,
            flush=True,
        )
    return True


def check_begun_from(path: Path, named: Path | None) -> None:
    """Raise SettingsError if a run without a checkpoint begins with other networks than `named` (None: random ones).

    They would be read again, from wherever its `run.json` says, and a file chooses no path.
    """
    begins_with = begun_from(path)
    if begins_with == (None if named is None else named.resolve()):
        return
    whose = "random networks" if begins_with is None else f"the networks of {begins_with}"
    raise SettingsError(
        f"{path} has no checkpoint yet, and begins with {whose}, which this command does not name",
        remedy=f"Name them: heliograph train --folder {path} --resume-or-start --init-from RUN",
    )


def begun_from(path: Path) -> Path | None:
    """The run or snapshot whose networks a run began with; None: random ones.  Raises SettingsError."""
    try:
        found = run_fields(read_json(path / ABOUT), path / ABOUT).get("init_from")
    except (OSError, ValueError, AttributeError) as error:
        raise SettingsError(f"cannot read {path / ABOUT}: {error}") from None
    return None if found is None else Path(found)
