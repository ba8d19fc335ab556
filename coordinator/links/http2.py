"""Counts the HTTP/2 frames of one direction of a connection as they pass (RFC 9113).  Imported by the counting proxy.

Only frame headers are read: who sent which type of frame, and how many bytes.  Nothing is decoded or changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.http2 import HEADER_BYTES, PREFACE, TYPES, FrameHeader

OTHER, PREFACE_TYPE, UNPARSED = "OTHER", "PREFACE", "UNPARSED"
"""Types that the RFC does not know and tells everybody to ignore; the preface; what came after a violation."""

KINDS = (*TYPES, OTHER, PREFACE_TYPE, UNPARSED)


@dataclass(slots=True)
class _Count:
    frames: int = 0
    bytes: int = 0


class FrameReader:
    """Takes the bytes of one direction in chunks of any size; `counts` has frames and bytes that passed, by kind.

    The bytes of all kinds together are `total_bytes`, less those of a frame header that is not yet whole
    (`pending_bytes`).  `violation` says why no more frames are told apart; then the rest is UNPARSED.
    """

    def __init__(self, *, client: bool) -> None:
        self.counts = {kind: _Count() for kind in KINDS}
        self.total_bytes = 0
        self.violation: str | None = None
        self._buffer = b""
        self._preface_left = len(PREFACE) if client else 0
        self._current = self.counts[UNPARSED]
        self._payload_left = 0

    @property
    def pending_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Count the next chunk."""
        self.total_bytes += len(data)
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        at = self._preface(data)
        while at < len(data):
            if self.violation is not None:
                self.counts[UNPARSED].bytes += len(data) - at
                return
            if self._payload_left:
                taken = min(self._payload_left, len(data) - at)
                self._current.bytes += taken
                self._payload_left -= taken
                at += taken
            elif len(data) - at < HEADER_BYTES:
                self._buffer = data[at:]
                return
            else:
                at += self._header(data, at)

    def _preface(self, data: bytes) -> int:
        if not self._preface_left or self.violation is not None:
            return 0
        taken = min(self._preface_left, len(data))
        start = len(PREFACE) - self._preface_left
        if data[:taken] != PREFACE[start : start + taken]:
            self.violation = "it does not start with the preface of an HTTP/2 client"
            return 0
        self._preface_left -= taken
        self.counts[PREFACE_TYPE].bytes += taken
        self.counts[PREFACE_TYPE].frames += self._preface_left == 0
        return taken

    def _header(self, data: bytes, at: int) -> int:
        """Begin a frame; how many bytes of its header were taken: none if there cannot be such a frame."""
        header = FrameHeader.at(data, at)
        if header.violation is not None:
            self.violation = header.violation
            return 0
        self._current = self.counts[TYPES[header.type] if header.type < len(TYPES) else OTHER]
        self._payload_left = header.length
        self._current.frames += 1
        self._current.bytes += HEADER_BYTES
        return HEADER_BYTES
