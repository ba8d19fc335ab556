"""What travelled over a directed link, and where that number comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MEASURED, COMPUTED, NOT_MEASURED = "measured", "computed", "not measured"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the numbers of a layer come from."""

    label: str
    """"measured", "computed" or "not measured"."""
    source: str
    """Of what, by what; for "not measured" why."""


@dataclass(frozen=True, kw_only=True)
class FrameCount:
    """HTTP/2 frames of one type, and their bytes with their headers."""

    frames: int = 0
    bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class LinkTraffic:
    """What the sender of a directed link had sent to its receiver at some moment.  None: not measured."""

    connections: int = 0
    """TCP connections of the pair so far."""
    http2_bytes: int | None = None
    frames: Mapping[str, FrameCount] | None = None
    """By type of frame."""
    tcp_segments: int | None = None
    """With payload or without, the first time or again."""
    ip_bytes: int | None = None

    def since(self, before: LinkTraffic) -> LinkTraffic:
        """What came after `before`; the kernel's counts of a connection end with it, so a new one leaves none."""
        kept = self.connections == before.connections
        frames = None
        if self.frames is not None and before.frames is not None:
            frames = {
                kind: FrameCount(frames=now.frames - then.frames, bytes=now.bytes - then.bytes)
                for (kind, now), then in zip(self.frames.items(), before.frames.values(), strict=True)
            }
        return LinkTraffic(
            connections=self.connections - before.connections,
            http2_bytes=_less(self.http2_bytes, before.http2_bytes) if kept or frames is not None else None,
            frames=frames,
            tcp_segments=_less(self.tcp_segments, before.tcp_segments) if kept else None,
            ip_bytes=_less(self.ip_bytes, before.ip_bytes),
        )


def total(values: Iterable[int | None]) -> int | None:
    """The sum; None if one of them was not measured."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _less(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before
