"""One gRPC call on a lean connection, either end (gRPC over HTTP/2).  Imported by `client.py` and `server.py`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes

import grpc
from h2.errors import ErrorCodes

from agent_node.hello import HELLO_METADATA
from agent_node.transport.seam import CallEnded, Take
from heliograph.rpc import MAX_PEER_BYTES

EARLY_MESSAGES = 1024
"""What may come before anybody reads the call."""

STATUS = {code.value[0]: code.name for code in grpc.StatusCode}
NUMBER = {name: number for number, name in STATUS.items()}

BY_RESET = {
    ErrorCodes.NO_ERROR: "INTERNAL",
    ErrorCodes.REFUSED_STREAM: "UNAVAILABLE",
    ErrorCodes.CANCEL: "CANCELLED",
    ErrorCodes.ENHANCE_YOUR_CALM: "RESOURCE_EXHAUSTED",
    ErrorCodes.INADEQUATE_SECURITY: "PERMISSION_DENIED",
}
"""The status of a stream that was reset, by the error code; INTERNAL for all others."""


class Carrier(Protocol):
    """The connection that a call is on."""

    def send(self, stream: int, data: bytes) -> bool: ...

    def attend(self) -> None: ...

    def rest(self) -> None: ...

    async def flush(self, stream: int, *, timeout_s: float) -> bool: ...

    def end_call(self, call: LeanCall, status: str, sentence: str) -> None: ...


class LeanCall:
    """A `Call`: messages go straight to whoever takes them, without a task or a queue between."""

    def __init__(self, link: Carrier, stream: int) -> None:
        self._link, self.stream = link, stream
        self._taker: Take | None = None
        self._early: list[bytes] = []
        self._partial = bytearray()
        self._usual_bytes, self._usual_start = -1, b""  # of the last message that came as one
        self._is_over = self._has_ended = False
        self._received: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # What the node asks ------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        return not self._has_ended and self._link.send(self.stream, data)

    def attend(self) -> None:
        self._link.attend()

    def rest(self) -> None:
        self._link.rest()

    async def flush(self, *, timeout_s: float) -> bool:
        return not self._has_ended and await self._link.flush(self.stream, timeout_s=timeout_s)

    def abandon(self) -> None:
        self._has_ended = True

    async def receive(self, take: Take) -> None:
        self._taker = take
        try:
            for data in self._early:
                take(data)
            self._early.clear()
            await asyncio.shield(self._received)
        finally:
            self._taker = _nobody

    # From the connection -----------------------------------------------------------------------------------------

    def take(self, data: bytes) -> int:
        """What a DATA frame holds, which is one message as a rule; how many it completed."""
        if self._is_over:
            return 0
        if self._partial or len(data) != self._usual_bytes or not data.startswith(self._usual_start):
            size = len(data) - 5
            if self._partial or not 0 <= size <= MAX_PEER_BYTES or data[:5] != size.to_bytes(5, "big"):
                return self._take_pieces(data)
            self._usual_bytes, self._usual_start = len(data), data[:5]
        self._deliver(data[5:])
        return 1

    def lost(self, error: CallEnded) -> None:
        """The stream is over before it was complete."""
        self._is_over = self._has_ended = True
        if not self._received.done():
            self._received.set_exception(error)
            self._received.exception()  # nobody may be reading any more

    def half_closed(self) -> None:
        """The other side has ended its half."""
        self._is_over = True
        if self._partial:
            self.lost(CallEnded("INTERNAL", "the last message is not whole"))
        elif not self._received.done():
            self._received.set_result(None)

    def refuse(self, status: str, sentence: str) -> None:
        """End the call from here because of what it was told."""
        self._link.end_call(self, status, sentence)
        self.lost(CallEnded(status, sentence))

    def _take_pieces(self, data: bytes) -> int:
        """Messages in any number of frames."""
        self._partial += data
        partial, completed = self._partial, 0
        while len(partial) >= 5 and not self._is_over:
            size = int.from_bytes(partial[1:5], "big")
            if partial[0]:
                self.refuse("UNIMPLEMENTED", "a message is marked as compressed, which nothing here is")
            elif size > MAX_PEER_BYTES:
                self.refuse("RESOURCE_EXHAUSTED", f"message is larger than max ({size} vs. {MAX_PEER_BYTES} bytes)")
            elif len(partial) < 5 + size:
                break
            else:
                self._deliver(bytes(partial[5 : 5 + size]))
                del partial[: 5 + size]
                completed += 1
        return completed

    def _deliver(self, data: bytes) -> None:
        if self._taker is not None:
            try:
                self._taker(data)
            except Exception as error:
                self._taker = _nobody
                if not self._received.done():
                    self._received.set_exception(error)
        elif len(self._early) < EARLY_MESSAGES:
            self._early.append(data)
        else:
            self.refuse("RESOURCE_EXHAUSTED", f"more than {EARLY_MESSAGES} messages before an answer")


def _nobody(_data: bytes) -> None:
    """Takes what nobody reads any more."""


def hello_header(hello: bytes) -> tuple[str, str]:
    """A hello as binary metadata."""
    return HELLO_METADATA, base64.b64encode(hello).decode().rstrip("=")


def hello_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The hello in metadata; empty if there is none that can be read."""
    for name, value in headers:
        if name == HELLO_METADATA.encode():
            with contextlib.suppress(binascii.Error):
                return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    return b""


def trailers(status: str, sentence: str) -> list[tuple[str, str]]:
    """What says how a call ended."""
    found = [("grpc-status", str(NUMBER[status]))]
    return [*found, ("grpc-message", quote(sentence, safe=" !#$&'()*+,/:;<=>?@[]^`{|}~\""))] if sentence else found


def ending(headers: Iterable[tuple[bytes, bytes]]) -> CallEnded | None:
    """How a call ended that has these trailers; None: well."""
    fields = dict(headers)
    number = fields.get(b"grpc-status", b"")
    status = STATUS.get(int(number), "UNKNOWN") if number.isdigit() and len(number) < 4 else "UNKNOWN"
    sentence = unquote_to_bytes(fields.get(b"grpc-message", b"")).decode("utf-8", "replace")
    if not number:
        sentence = "the stream ended without a status"
    return None if status == "OK" else CallEnded(status, sentence)
