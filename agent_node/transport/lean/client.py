"""Dials a peer: a connection and one call on it, made anew every time.  Imported by `transport.py`."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from h2.errors import ErrorCodes
from h2.events import Event, ResponseReceived

from agent_node.hello import EXCHANGE
from agent_node.transport.lean.call import LeanCall, ending, hello_header, hello_in
from agent_node.transport.lean.link import GOODBYE_S, Link
from agent_node.transport.seam import CallEnded, refused
from heliograph.certificates.identity import Identity
from heliograph.errors import MessageError, PeerRefused
from heliograph.listening import parse_address
from heliograph.rpc import HANDSHAKE_DEADLINE_MS
from heliograph.tls import Tls
from heliograph.tls_context import agreed_to_http2


class LeanLine:
    """A `Line`."""

    def __init__(self, address: str, *, tls: Tls | None, peer: Identity) -> None:
        self._address, self._host_and_port = address, parse_address(address)
        self._tls, self._peer = tls, peer

    async def call(self, hello: bytes) -> DialledLeanCall:
        loop = asyncio.get_running_loop()
        security: dict[str, Any] = {}
        if self._tls is not None:
            security = {
                "ssl": self._tls.context(is_server=False),
                "server_hostname": self._peer.host,
                "ssl_handshake_timeout": HANDSHAKE_DEADLINE_MS / 1e3,
                "ssl_shutdown_timeout": GOODBYE_S,
            }
        try:
            _, link = await loop.create_connection(DialledLink, *self._host_and_port, **security)
        except ssl.SSLError as error:
            raise PeerRefused(f"TLS with {self._address}: {error}") from None
        except (OSError, UnicodeError) as error:  # the second of a host that cannot be one
            raise CallEnded("UNAVAILABLE", f"{self._address}: {str(error) or type(error).__name__}") from None
        if not agreed_to_http2(link.transport.get_extra_info("ssl_object")):
            link.cut("it did not agree to HTTP/2")
            raise CallEnded("UNAVAILABLE", f"{self._address} did not agree to HTTP/2")
        headers = [
            (":method", "POST"),
            (":scheme", "http" if self._tls is None else "https"),
            (":path", EXCHANGE),
            (":authority", self._address if self._tls is None else self._peer.host),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            hello_header(hello),
        ]
        # Something may have come with the end of the handshake.
        if link.is_over:
            raise CallEnded("UNAVAILABLE", f"{self._address}: {link.reason}")
        try:
            return DialledLeanCall(link, link.connection.begin(headers))
        except MessageError as error:
            link.cut(error.message)
            raise CallEnded("UNAVAILABLE", f"{self._address}: {link.reason}") from None

    async def close(self) -> None:
        return


class DialledLeanCall(LeanCall):
    """A `DialledCall`; its connection goes with it."""

    def __init__(self, link: DialledLink, stream: int) -> None:
        super().__init__(link, stream)
        self._dialled = link
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._ending: CallEnded | None = CallEnded("INTERNAL", "the stream ended without a status")
        link.calls[stream] = self

    async def answer(self) -> bytes:
        return await asyncio.shield(self._answer)

    async def half_close(self) -> None:
        if not self._has_ended:
            self._dialled.guarded(self._dialled.connection.finish, self.stream)

    def cancel(self) -> None:
        self._has_ended = True
        self._dialled.close()

    def answered(self, headers: list[tuple[bytes, bytes]]) -> None:
        """The headers of the answer, which may be all of it."""
        fields = dict(headers)
        if fields.get(b":status") != b"200" or not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            self.lost(CallEnded("UNAVAILABLE", f"it answers {fields.get(b':status', b'')!r}, which is not gRPC"))
            self._dialled.cut("it does not answer by gRPC")
        elif b"grpc-status" in fields:
            self.ended(headers)
        elif fields.get(b"grpc-encoding", b"identity") != b"identity":
            self.refuse("UNIMPLEMENTED", "it compresses its messages, which nobody does here")
        elif not self._answer.done():
            self._answer.set_result(hello_in(headers))

    def ended(self, headers: list[tuple[bytes, bytes]]) -> None:
        """The trailers, or an answer that is nothing else."""
        self._ending = ending(headers)
        if not self._answer.done():
            said = self._ending or CallEnded("UNKNOWN", "it ended the call without an answer")
            self._fail_answer(refused(said.grpc_status, said.message))

    def half_closed(self) -> None:
        if self._ending is None:
            super().half_closed()
        else:
            self.lost(self._ending)

    def lost(self, error: CallEnded) -> None:
        super().lost(error)
        self._fail_answer(error)

    def _fail_answer(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
            self._answer.exception()  # nobody may be waiting any more


class DialledLink(Link):
    def __init__(self) -> None:
        super().__init__(is_client=True)

    def end_call(self, call: LeanCall, status: str, sentence: str) -> None:
        self.calls.pop(call.stream, None)
        self.guarded(self.connection.reset, call.stream, ErrorCodes.CANCEL)

    def on_begin(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            call = self.calls.get(event.stream_id)
            if isinstance(call, DialledLeanCall):
                call.answered(list(event.headers))

    def on_trailers(self, call: LeanCall, headers: list[tuple[bytes, bytes]]) -> None:
        if isinstance(call, DialledLeanCall):
            call.ended(headers)

    def on_ended(self, call: LeanCall) -> None:
        call.half_closed()

    def on_lost(self) -> None:
        return
