"""The codec of a run as its nodes agree on it, and as it is said on the wire.  For agent_node and coordinator."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.codecs.codec import Codec
from heliograph.codecs.registry import BIT_PACKED, MOST_INFORMATIVE, names
from heliograph.errors import MessageError
from heliograph.pb import latent_pb2

_OF_PROTOCOL = dict(zip(names(), latent_pb2.LatentCodec.keys()[1:], strict=True))
"""Without the first, which stands for none."""


@dataclass(frozen=True, kw_only=True)
class Coding:
    """What both ends of a stream must have in common."""

    spec: str = BIT_PACKED
    """As `heliograph.codecs.make` takes it."""
    tables_sha256: str = ""
    """Of the tables that the codec goes by; empty if it needs none."""

    @classmethod
    def of(cls, codec: Codec) -> Coding:
        return cls(spec=codec.spec, tables_sha256=codec.tables_sha256)

    def __str__(self) -> str:
        return f"{self.spec} by tables {self.tables_sha256[:12]}" if self.tables_sha256 else self.spec

    def to_wire(self) -> latent_pb2.LatentCoding | None:
        """None for packed bits, which need not be mentioned."""
        if self == Coding():
            return None
        name, _, kept = self.spec.partition(":")
        return latent_pb2.LatentCoding(codec=_OF_PROTOCOL[name], kept=int(kept or 0), tables_sha256=self.tables_sha256)

    @classmethod
    def from_wire(cls, wire: latent_pb2.LatentCoding) -> Coding:
        """Of a message or of its absence.  Raises MessageError for a codec that this version does not know."""
        if wire == latent_pb2.LatentCoding():
            return cls()
        if not 1 <= wire.codec <= len(names()):
            raise MessageError(f"latents are said to be written with codec {wire.codec}, which is unknown here")
        name = names()[wire.codec - 1]
        if bool(wire.kept) != (name == MOST_INFORMATIVE):
            raise MessageError(f"codec {name} is said to send {wire.kept} ids")
        return cls(spec=f"{name}:{wire.kept}" if wire.kept else name, tables_sha256=wire.tables_sha256)
