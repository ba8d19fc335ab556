"""The certificates of a run: the coordinator's own, and those of the nodes that it starts.  For the commands of this
house.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.certificates.identity import COORDINATOR, Identity
from heliograph.errors import SettingsError

if TYPE_CHECKING:
    from heliograph.tls import Tls

TEMPORARY_DAYS = 30
"""How long a run's own authority lasts, and so a run with it; its key is forgotten at once."""


@dataclass(frozen=True, kw_only=True)
class TeamCertificates:
    """Where they are: each in a folder as `heliograph certificates` issues them."""

    coordinator: Path
    slots: Path | None = None
    """The folder with `slot-0`, `slot-1`, …; None if the nodes are started by somebody else."""

    @classmethod
    def below(cls, folder: Path) -> TeamCertificates:
        """Those that were issued to a whole team."""
        return cls(coordinator=folder / COORDINATOR.name, slots=folder)

    def of_coordinator(self) -> Tls:
        """Raises SettingsError if there is none, or somebody else's."""
        from heliograph.tls import Tls

        tls = Tls(self.coordinator)
        if tls.identity != COORDINATOR:
            raise SettingsError(f"certificate in {self.coordinator} is of {tls.identity}, not of {COORDINATOR}")
        return tls

    def arguments(self, slot: int) -> list[str]:
        """What the node of a slot is started with."""
        return [] if self.slots is None else ["--tls", str(self.slots / Identity(slot=slot).name)]


@contextmanager
def temporary(team_size: int) -> Iterator[TeamCertificates]:
    """For one run on one machine: readable by this user alone, and gone afterwards."""
    from heliograph.certificates.folder import make_team, team

    with tempfile.TemporaryDirectory(prefix="heliograph-certificates-") as folder:
        make_team(Path(folder), team(team_size), days=TEMPORARY_DAYS)
        yield TeamCertificates.below(Path(folder))
