"""What a coordination server is asked for: how its team acts and talks, and where it is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coordinator.serving.roster import Member
from heliograph import codecs
from heliograph.grace import REJOIN_S, check_rejoin
from heliograph.tls import Tls


@dataclass(frozen=True, kw_only=True)
class TeamSettings:
    """What every node is told when it joins.  Raises SettingsError for a grace that nobody can keep."""

    run_seed: int
    greedy: bool
    """The most probable action is chosen; otherwise one is sampled."""
    late_policy: str = "mask"
    """"mask" treats a late message as missing, "hold" reuses the last one received, "predict" what the
    receiver's bundle makes of that."""
    codec: str = codecs.BIT_PACKED
    """How nodes write latents to one another; a spec of `heliograph.codecs`."""
    report_latents: bool = False
    """Whether nodes also tell the coordinator what they send to one another."""
    rejoin_s: float = REJOIN_S
    """The team's grace: how long nodes and coordinator look for one another after a cut."""

    def __post_init__(self) -> None:
        check_rejoin(self.rejoin_s)


@dataclass(frozen=True, kw_only=True)
class ListenSettings:
    """Where nodes reach the coordinator, and one another."""

    listen: str = "127.0.0.1:0"
    """host:port, port 0 for any free one, or unix:path."""
    tls: Tls | None = None
    """With it, each slot is for the certificate of that slot alone; without, only this machine can be listened on."""
    insecure: bool = False
    """Plaintext is listened on where other machines can reach it, all the same."""
    address_of: Callable[[int, Member], str] = lambda slot, member: member.peer_address
    """(slot, member): where the node of that slot is told to reach the member; by default where that listens."""


THIS_MACHINE = ListenSettings()
"""This machine alone, at any free port."""
