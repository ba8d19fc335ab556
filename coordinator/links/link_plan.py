"""What the links between the nodes of a run are: what carries them, and how bad they are.  Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from heliograph.errors import SettingsError
from heliograph.transports import DEFAULT_TRANSPORT, check_transport

LOOPBACK, NAMESPACES = "loopback", "namespaces"
KINDS = (LOOPBACK, NAMESPACES)


@dataclass(frozen=True, kw_only=True)
class LinkPlan:
    """Links that are counted.

    `loopback`: every pair of nodes talks through a counting proxy in the coordinator's process, which tells HTTP/2
    frames apart; works anywhere and as anybody.  `namespaces`: every node has a network of its own, with one virtual
    link to each other node, whose packets the kernel counts; needs root on Linux.  Only these links can be bad.
    """

    kind: str = LOOPBACK
    rate_kbit: float | None = None
    """Of each direction of each link, with its IP and Ethernet headers; None: as fast as the machine."""
    delay_ms: float = 0.0
    """One way, for every packet."""
    loss: float = 0.0
    """Share of packets that vanish on each directed link; TCP sends them again."""
    transport: str = DEFAULT_TRANSPORT
    """What the nodes read and write them with."""

    def __post_init__(self) -> None:
        check_transport(self.transport)
        if self.kind not in KINDS:
            raise SettingsError(f"links are of kind {' or '.join(KINDS)}, not {self.kind!r}")
        if self.rate_kbit is not None and not (math.isfinite(self.rate_kbit) and self.rate_kbit > 0):
            raise SettingsError(f"a link cannot have a rate of {self.rate_kbit} kbit/s")
        if not (math.isfinite(self.delay_ms) and self.delay_ms >= 0):
            raise SettingsError(f"a link cannot have a delay of {self.delay_ms} ms")
        if not 0 <= self.loss < 1:
            raise SettingsError(f"a link loses a share of packets in 0 ≤ p < 1, not {self.loss}")
        if self.kind == LOOPBACK and (self.rate_kbit is not None or self.delay_ms or self.loss):
            raise SettingsError(
                "links on the loopback have no rate, delay or loss",
                remedy="Run them in namespaces (root on Linux), or simulate a channel with --channel",
            )
