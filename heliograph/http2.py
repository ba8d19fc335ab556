"""HTTP/2 frames as they lie on the wire (RFC 9113 §4, §6).  For whoever reads them: the lean peer stream, the counting
proxy, the door of the coordinator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first (RFC 9113 §3.4); a frame of settings must follow."""

HEADER_BYTES = 9

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

TYPES = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
)
"""By the number on the wire."""

END_STREAM, END_HEADERS, PADDED = 1, 4, 8
"""Flags; ACK is the same bit as END_STREAM."""

LARGEST_FRAME = 2**14
"""Payload of a frame, unless the other side has been told that more is taken."""

_LENGTHS: dict[int, Callable[[int], bool]] = {
    PRIORITY: lambda length: length == 5,
    RST_STREAM: lambda length: length == 4,
    SETTINGS: lambda length: length % 6 == 0,
    PING: lambda length: length == 8,
    GOAWAY: lambda length: length >= 8,
    WINDOW_UPDATE: lambda length: length == 4,
}
_OF_CONNECTION = (SETTINGS, PING, GOAWAY)
_OF_STREAM = (DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION)


class FrameHeader(NamedTuple):
    """The nine bytes before a payload."""

    length: int
    type: int
    flags: int
    stream: int

    @classmethod
    def at(cls, data: bytes, at: int) -> FrameHeader:
        """Of nine bytes that must be there."""
        return cls(
            length=int.from_bytes(data[at : at + 3], "big"),
            type=data[at + 3],
            flags=data[at + 4],
            stream=int.from_bytes(data[at + 5 : at + HEADER_BYTES], "big") & 0x7FFF_FFFF,
        )

    @property
    def violation(self) -> str | None:
        """Why there cannot be such a frame, by its header alone."""
        if self.type in _LENGTHS and not _LENGTHS[self.type](self.length):
            return f"a frame of type {TYPES[self.type]} has {self.length} bytes"
        if (self.type in _OF_CONNECTION and self.stream) or (self.type in _OF_STREAM and not self.stream):
            return f"a frame of type {TYPES[self.type]} belongs to stream {self.stream}"
        return None

    def serialise(self) -> bytes:
        return self.length.to_bytes(3, "big") + bytes((self.type, self.flags)) + self.stream.to_bytes(4, "big")
