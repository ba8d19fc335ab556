"""Where the nodes of a run come from, and how they are looked after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.links.link_plan import LinkPlan
from coordinator.observers.observation import Shows
from coordinator.running.newer_bundles import Following
from heliograph.errors import SettingsError
from heliograph.grace import REJOIN_S


@dataclass(frozen=True, kw_only=True)
class LaunchSettings:
    """Where the nodes come from."""

    listen: str = "127.0.0.1:0"
    spawn: bool = True
    """Start one process per slot; otherwise wait for nodes that somebody else starts."""
    restarts: int = 0
    """How often each process is started again after it died during the run."""
    start_timeout_s: float = 60.0
    """Until every slot has a live node."""
    connect_timeout_s: float = 10.0
    """Then until every pair has a stream; after that the run begins without the missing ones, and says so."""
    log_folder: Path | None = None
    """Where the processes' logs go and stay; None: a temporary folder that is kept only if a process failed."""
    node_options: Callable[[int], tuple[str, ...]] = lambda slot: ()
    """More options for the node of a slot that is started here."""
    shows: Shows = field(default_factory=Shows)
    links: LinkPlan | None = None
    """Links that are counted, for processes that are started here; None: nodes dial one another, and count alone."""
    certificates: Path | None = None
    """The coordinator's, or the folder with those of the whole team, which is what nodes that are started here need;
    None: plaintext."""
    following: Following | None = None
    """Where newer bundles come from, to be played from the next episode on; None: nowhere."""
    resume: Path | None = None
    """Finished episodes are kept here, and not played again if it has them already."""
    rejoin_s: float = REJOIN_S
    """The team's grace: how long nodes and coordinator look for one another after a cut."""
    insecure: bool = False
    """Plaintext is also listened on where other machines can reach it."""

    def __post_init__(self) -> None:
        if self.links is not None and not self.spawn:
            raise SettingsError("links can be counted only between nodes that are started here")
        if self.links is not None and self.certificates is not None:
            raise SettingsError("links are counted by what passes, which TLS hides", remedy="Leave out --tls")
