"""Networks that a new run begins with: those of another run, as they are in its newest checkpoint or in a snapshot.

Networks alone: optimisers, replay, counters and random numbers begin anew.
"""

from __future__ import annotations

from pathlib import Path

from heliograph.errors import SettingsError
from heliograph.run_status import SETTINGS
from trainer.algorithms.interfaces import Algorithm
from trainer.training.checkpoint import from_newest, load_weights
from trainer.training.snapshots import load_snapshot


def load_initial_weights(path: Path, algorithm: Algorithm) -> int:
    """Put the networks of a run folder, or of one of its snapshots, into an algorithm; after how many steps they were.

    Raises SettingsError if it is neither, CheckpointError if they cannot be read or do not fit.
    """
    if (path / SETTINGS).is_file():
        return from_newest(path / "checkpoints", lambda found: load_weights(found, algorithm))
    if (path / "snapshot.json").is_file():
        return load_snapshot(path, algorithm)
    raise SettingsError(
        f"{path} is neither a run folder nor a snapshot of one",
        remedy="Name a run, or one of the folders in its snapshots/",
    )
