"""Both ends of lean peer streams.  Imported by `choice.py`."""

from __future__ import annotations

from agent_node.transport.lean.client import LeanLine
from agent_node.transport.lean.server import LeanServer
from heliograph.certificates.identity import Identity
from heliograph.refusals import Refusals
from heliograph.tls import Tls


class LeanTransport:
    """A `Transport`."""

    def server(self, *, tls: Tls | None, refusals: Refusals) -> LeanServer:
        return LeanServer(tls=tls, refusals=refusals)

    def line(self, address: str, *, tls: Tls | None, peer: Identity) -> LeanLine:
        return LeanLine(address, tls=tls, peer=peer)
