"""Whom a certificate speaks for.  Imports nothing heavy; for everybody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ZONE = "heliograph.internal"
"""Of the names that TLS itself compares when one process dials another, whatever address that has today."""

ANYBODY = f"any.{ZONE}"
"""In every certificate of a team's process: for those who ask after its health, and do not mind which it is."""

_SCHEME = "heliograph://"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The coordinator, or the agent of one slot."""

    slot: int | None = None
    """None: the coordinator."""

    @property
    def uri(self) -> str:
        """The subject alternative name that a server reads from its client's certificate."""
        return f"{_SCHEME}coordinator" if self.slot is None else f"{_SCHEME}slot/{self.slot}"

    @property
    def host(self) -> str:
        """The subject alternative name that a client demands of its server's certificate."""
        return f"{self.name}.{ZONE}"

    @property
    def name(self) -> str:
        """Short; also of the folder that its certificate is issued to."""
        return "coordinator" if self.slot is None else f"slot-{self.slot}"

    def __str__(self) -> str:
        return self.uri

    @classmethod
    def among(cls, names: Iterable[str]) -> Identity | None:
        """The one identity that subject alternative names hold; None if they hold none, or several."""
        claimed = [name for name in names if name.startswith(_SCHEME)]
        if len(claimed) != 1:
            return None
        kind, _, number = claimed[0].removeprefix(_SCHEME).partition("/")
        slot = int(number) if number.isascii() and number.isdigit() else None
        identity = cls(slot=slot if kind == "slot" else None)
        return identity if identity.uri == claimed[0] else None


COORDINATOR = Identity()
