"""Where the nodes of a run come from, and how they are looked after.  Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.links.link_plan import LinkPlan
from coordinator.observers.settings import ObserverSettings
from coordinator.plan.options import check, option, section
from heliograph.errors import SettingsError
from heliograph.grace import REJOIN_S, check_rejoin
from heliograph.output_arguments import output_folder
from heliograph.transports import DEFAULT_TRANSPORT, TRANSPORTS

if TYPE_CHECKING:
    from coordinator.running.newer_bundles import Following


@dataclass(frozen=True, kw_only=True)
class LaunchSettings:
    """Where the nodes come from."""

    listen: str = "127.0.0.1:0"
    spawn: bool = True
    """Start one process per slot; otherwise wait for nodes that somebody else starts."""
    start_timeout_s: float = option(60.0, "seconds until every slot must have a node", at_least=0, unit="s")
    connect_timeout_s: float = option(
        10.0,
        "then seconds until every pair of nodes should be connected; without the others the run begins all the same",
        at_least=0,
        unit="s",
    )
    transport: str = option(
        DEFAULT_TRANSPORT,
        "what carries the nodes' messages: grpcio, or lean, written for many small ones; the same on the wire",
        choices=TRANSPORTS,
    )
    observers: ObserverSettings = section(ObserverSettings)
    rejoin_s: float = option(
        REJOIN_S,
        "seconds that coordinator and nodes look for one another after a cut, with the world paused; nodes are told",
        argument={"metavar": "S"},
    )
    resume: Path | None = option(
        None,
        "keep finished episodes in FILE, and continue after those it has (.jsonl)",
        argument={"metavar": "FILE"},
    )
    restarts: int = option(0, "how often a node that dies is started again", at_least=0)
    log_folder: Path | None = option(
        None,
        "keep the nodes' logs here; default: only if one failed",
        argument={"metavar": "DIR", "type": output_folder},
    )
    node_options: Callable[[int], tuple[str, ...]] = lambda slot: ()
    """More options for the node of a slot that is started here."""
    links: LinkPlan | None = None
    """Links that are counted, for processes that are started here; None: nodes dial one another, and count alone."""
    certificates: Path | None = None
    """The coordinator's, or the folder with those of the whole team, which is what nodes that are started here need;
    None: plaintext."""
    following: Following | None = None
    """Where newer bundles come from, to be run from the next episode on; None: nowhere."""
    insecure: bool = False
    """Plaintext is also listened on where other machines can reach it."""

    def __post_init__(self) -> None:
        check(self)
        check_rejoin(self.rejoin_s)
        if self.links is not None and not self.spawn:
            raise SettingsError("links can be counted only between nodes that are started here")
        if self.links is not None and self.certificates is not None:
            raise SettingsError("links are counted by what passes, which TLS hides", remedy="Leave out --tls")
