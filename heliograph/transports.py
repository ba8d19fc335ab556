"""The names of the transports under peer streams, for every command that starts nodes.  Imports nothing heavy."""

from __future__ import annotations

from heliograph.errors import SettingsError

LEAN = "lean"
TRANSPORTS = ("grpcio", LEAN)
DEFAULT_TRANSPORT = "grpcio"


def check_transport(name: str) -> None:
    """Raises SettingsError unless there is such a transport."""
    if name not in TRANSPORTS:
        raise SettingsError(f"transport {name!r} is unknown", remedy=f"Choose one of {', '.join(TRANSPORTS)}")
