"""The transports by name.  Imported by whoever makes a node."""

from __future__ import annotations

from agent_node.transport.seam import Transport
from heliograph.transports import check_transport


def transport_of(name: str) -> Transport:
    """Raises SettingsError unless it is one of `heliograph.transports.TRANSPORTS`."""
    check_transport(name)
    # Each loads what the other does not need.
    if name == "lean":
        from agent_node.transport.lean.transport import LeanTransport

        return LeanTransport()
    from agent_node.transport.over_grpcio import GrpcioTransport

    return GrpcioTransport()
