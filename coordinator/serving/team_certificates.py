"""The certificates of a run: the coordinator's own, and those that are made for one run alone.  For `rollout.py` and
the commands of this house.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heliograph.certificates.folder import make_team, own, team
from heliograph.certificates.identity import COORDINATOR
from heliograph.errors import SettingsError
from heliograph.tls import Tls

TEMPORARY_DAYS = 30
"""How long a run's own authority lasts, and so a run with it; its key is forgotten at once."""


def coordinator_tls(folder: Path) -> Tls:
    """Raises SettingsError if there is no certificate of the coordinator in the folder, or below it."""
    tls = Tls(own(folder, COORDINATOR))
    if tls.identity != COORDINATOR:
        raise SettingsError(f"certificate in {folder} is of {tls.identity}, not of {COORDINATOR}")
    return tls


@contextmanager
def temporary(team_size: int) -> Iterator[Path]:
    """For one run on one machine: readable by this user alone, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="heliograph-certificates-") as folder:
        make_team(Path(folder), team(team_size), days=TEMPORARY_DAYS)
        yield Path(folder)
