"""How far a client has come: nothing yet, opened as its protocol demands, calling.

Only headers are read, and nothing is changed.  For `heliograph.guard.door`, which takes what one client sends
in chunks of any size.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from heliograph.errors import MessageError
from heliograph.http2 import CONTINUATION, END_HEADERS, HEADER_BYTES, HEADERS, PREFACE, SETTINGS, FrameHeader

MAX_HEADER_BLOCK_BYTES = 16 * 2**10
"""A call's headers, compressed, with all their continuations: twice what the server takes once they are whole."""

MAX_FRAME_BYTES = 2**24 - 1
MAX_RECORD_BYTES = 2**14 + 256

_HANDSHAKE, _APPLICATION_DATA = 22, 23


class Opening(Protocol):
    """What is known of a client by the bytes that it has sent."""

    @property
    def has_opened(self) -> bool:
        """It has begun as a client of this protocol does, so the server may hear of it."""
        ...

    @property
    def is_calling(self) -> bool:
        """It has gone on to what it came for: a call, or, where that cannot be seen, what follows a handshake."""
        ...

    def feed(self, data: bytes) -> None:
        """Read the next chunk.  Raises MessageError for what no client sends."""
        ...


class _Reader:
    """Feeds a generator that asks for so many bytes (a positive number) or passes over some (a negative one)."""

    def __init__(self) -> None:
        self.has_opened = False
        self.is_calling = False
        self._buffer = bytearray()
        self._read = self._follow()
        self._wanted = next(self._read)

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            taken = min(abs(self._wanted) - len(self._buffer), len(data) - at)
            if self._wanted > 0:
                self._buffer += data[at : at + taken]
                complete = len(self._buffer) == self._wanted
            else:
                self._wanted += taken
                complete = self._wanted == 0
            at += taken
            if complete:
                got = bytes(self._buffer)
                self._buffer.clear()
                self._wanted = self._read.send(got)

    def _follow(self) -> Generator[int, bytes, None]:
        raise NotImplementedError


class PlaintextOpening(_Reader):
    """HTTP/2 in the clear: the preface, settings, then frames, of which those that make up headers are bounded."""

    def _follow(self) -> Generator[int, bytes, None]:
        if (yield len(PREFACE)) != PREFACE:
            raise MessageError("it does not begin as an HTTP/2 client does")
        block_bytes = 0
        while True:
            header = FrameHeader.at((yield HEADER_BYTES), 0)
            length = header.length
            if not self.has_opened and header.type != SETTINGS:
                raise MessageError("its first frame is not of settings")
            self.has_opened = True
            if header.type in (HEADERS, CONTINUATION):
                # Headers that never end cost the server memory and time with every further frame, even an empty one.
                block_bytes = length + HEADER_BYTES + (block_bytes if header.type == CONTINUATION else 0)
                if block_bytes > MAX_HEADER_BLOCK_BYTES:
                    raise MessageError(f"headers of more than {MAX_HEADER_BLOCK_BYTES} bytes")
                self.is_calling = self.is_calling or bool(header.flags & END_HEADERS)
            if length:
                yield -length


class TlsOpening(_Reader):
    """TLS: a handshake record first; the call itself cannot be seen, only that application data follows."""

    def _follow(self) -> Generator[int, bytes, None]:
        while not self.is_calling:
            header = yield 5
            kind, version, length = header[0], header[1], int.from_bytes(header[3:], "big")
            if version != 3 or not 0 < length <= MAX_RECORD_BYTES or (not self.has_opened and kind != _HANDSHAKE):
                raise MessageError("it does not begin as a TLS client does")
            yield -length
            self.has_opened = True
            self.is_calling = kind == _APPLICATION_DATA
        while True:
            yield -MAX_FRAME_BYTES
