"""A lean connection and its socket: calls by stream, a watch for silence, and room to write.  Imported by `client.py`
and `server.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import cast

from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamEnded, StreamReset, TrailersReceived

from agent_node.transport.lean.call import BY_RESET, LeanCall
from agent_node.transport.lean.connection import Connection, Taker
from agent_node.transport.lean.turns import Turns
from agent_node.transport.seam import QUEUED_MESSAGES, CallEnded
from heliograph.errors import MessageError
from heliograph.rpc import KEEPALIVE_MS

FULL_BYTES = 512
"""What the socket has not taken is then waited for; messages that are handed over meanwhile are counted."""

GOODBYE_S = 0.5
"""How long the other side may take to close its TLS as well."""


class Link(asyncio.Protocol):
    """Either end; `on_begin` handles what begins or answers a call, `on_lost` what is to be done in the end."""

    def __init__(self, *, is_client: bool) -> None:
        self.transport: asyncio.Transport
        self.connection: Connection
        self._turns: Turns | None
        self._is_client = is_client
        self.calls: dict[int, LeanCall] = {}
        self.is_over = False
        self.reason = "the connection was closed"
        self._received_any = self._asked = False
        self._unwritten = 0  # messages since the socket took nothing more
        self._is_full = False
        self._moved = asyncio.Event()  # something was written, or may be, that waited

    # From the event loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # A few messages that the socket does not take are known of at once.  At 0 every message would be a call of its
        # own to the kernel, and wake the other side before the next is on its way.
        self.transport.set_write_buffer_limits(high=FULL_BYTES, low=0)
        connected = transport.get_extra_info("socket")
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Who acknowledges nothing for so long has lost its connection.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, KEEPALIVE_MS)
        self._watch = asyncio.get_running_loop().call_later(KEEPALIVE_MS / 1e3, self._look)
        self.connection = Connection(
            is_client=self._is_client, write=self.transport.write, taker=self._taker, on_event=self._on_event
        )
        # TLS reads on by itself, however much of it is wanted.
        self._turns = Turns(self.transport) if transport.get_extra_info("ssl_object") is None else None
        self.guarded(self.connection.open)

    def data_received(self, data: bytes) -> None:
        self._received_any = True
        if not self.is_over:
            try:
                self.connection.receive(data)
            except MessageError as error:
                if not self.is_over:
                    self.broke(error)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._unwritten = 0
        self._is_full = False
        self._moved.set()

    def connection_lost(self, error: Exception | None) -> None:
        if self._turns is not None:
            self._turns.end()
            if error is not None:
                self._read_the_rest()
        if error is not None and not self.is_over:
            self.reason = str(error) or type(error).__name__
        self.is_over = True
        self._watch.cancel()
        self._moved.set()
        for call in list(self.calls.values()):
            call.lost(CallEnded("UNAVAILABLE", self.reason))
        self.calls.clear()
        self.on_lost()

    # From calls --------------------------------------------------------------------------------------------------

    def send(self, stream: int, data: bytes) -> bool:
        self.attend()
        if not (self.is_over or self._is_full) and self.connection.send_at_once(stream, data):
            return True
        kept_bytes = self.connection.kept_bytes(stream)
        if self.is_over or self._unwritten >= QUEUED_MESSAGES or kept_bytes > QUEUED_MESSAGES * len(data):
            return False
        if self._is_full:
            self._unwritten += 1
        self.guarded(self.connection.send, stream, data)
        return not self.is_over

    def attend(self) -> None:
        if self._turns is not None:
            self._turns.attend()

    def rest(self) -> None:
        if self._turns is not None and not self.is_over:
            self._turns.rest()

    async def flush(self, stream: int, *, timeout_s: float) -> bool:
        self.attend()  # that there is room again is read, too
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self.is_over and (self._is_full or self.connection.kept_bytes(stream)):
                    self._moved.clear()
                    await self._moved.wait()
        return not (self.is_over or self._is_full or self.connection.kept_bytes(stream))

    def end_call(self, call: LeanCall, status: str, sentence: str) -> None:
        """End a call from this side."""
        raise NotImplementedError

    # For the two ends --------------------------------------------------------------------------------------------

    def on_begin(self, event: Event) -> None:
        raise NotImplementedError

    def on_trailers(self, call: LeanCall, headers: list[tuple[bytes, bytes]]) -> None:
        raise NotImplementedError

    def on_ended(self, call: LeanCall) -> None:
        """The other side has ended its half of a call."""
        raise NotImplementedError

    def on_lost(self) -> None:
        raise NotImplementedError

    def on_idle(self) -> None:
        """Told every `KEEPALIVE_MS`."""

    def broke(self, error: MessageError) -> None:
        """The other side has sent what nobody may."""
        self.cut(error.message)

    def cut(self, reason: str) -> None:
        """End it at once, whatever is on its way."""
        if not self.is_over:
            self.is_over, self.reason = True, reason
        self.transport.abort()  # also what `close` has left unwritten

    def close(self) -> None:
        """Take leave; what was written still arrives."""
        if not self.is_over:
            self.guarded(self.connection.close)
            self.is_over, self.reason = True, "this side has closed the connection"
            self.transport.close()

    def guarded(self, act: Callable[..., object], *arguments: object) -> None:
        """Do something on the connection, which may find only then that the other side has broken the protocol."""
        if not self.is_over:
            try:
                act(*arguments)
            except MessageError as error:
                self.broke(error)

    # From the connection -----------------------------------------------------------------------------------------

    def _taker(self, stream: int) -> Taker:
        call = self.calls.get(stream)
        return _nobody if call is None else call.take

    def _on_event(self, event: Event) -> None:
        self._moved.set()  # windows may have become larger
        if isinstance(event, ConnectionTerminated):
            said = (event.additional_data or b"").decode("utf-8", "replace")
            self.cut(f"the other side has ended the connection with code {int(event.error_code or 0)} {said}".rstrip())
            return
        call = self.calls.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, StreamReset):
            if call is not None:
                del self.calls[call.stream]
                code = event.error_code
                status = BY_RESET.get(code, "INTERNAL") if isinstance(code, ErrorCodes) else "INTERNAL"
                call.lost(CallEnded(status, f"the stream was reset with code {int(code or 0)}"))
        elif isinstance(event, TrailersReceived):
            if call is not None:
                self.on_trailers(call, list(event.headers))
        elif isinstance(event, StreamEnded):
            if call is not None:
                self.on_ended(call)
        else:
            self.on_begin(event)

    def _read_the_rest(self) -> None:
        """What had come before the connection broke, which a write finds out first if nothing is read meanwhile."""
        self._turns = None  # reading neither pauses nor goes on any more
        connected = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError), socket.fromfd(connected.fileno(), connected.family, connected.type) as ours:
            ours.setblocking(False)
            while not self.is_over and (data := ours.recv(2**16)):
                self.data_received(data)

    def _look(self) -> None:
        """Ask a side that has been silent, and end the connection with one that does not answer."""
        if not self._received_any and self._asked:
            self.cut(f"nothing came for {2 * KEEPALIVE_MS / 1e3:g} s")
            return
        self._asked = not self._received_any
        if self._asked and self.connection.has_opened:
            self.guarded(self.connection.ping)
        self._received_any = False
        self.on_idle()
        if not self.is_over:
            self._watch = asyncio.get_running_loop().call_later(KEEPALIVE_MS / 1e3, self._look)


def _nobody(_data: bytes) -> int:
    """Takes what is of no call."""
    return 0
