"""Listens for peers and for probes of health, over plain TCP or TLS.  Imported by `transport.py`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, cast

from h2.events import Event, RequestReceived

from agent_node.hello import EXCHANGE
from agent_node.transport.lean.accepted import AcceptedLeanCall
from agent_node.transport.lean.call import LeanCall
from agent_node.transport.lean.health import LeanHealth
from agent_node.transport.lean.link import GOODBYE_S, Link
from agent_node.transport.lean.rate import Rate
from agent_node.transport.seam import CallEnded, Handler
from heliograph import listening, rpc
from heliograph.certificates.identity import Identity
from heliograph.errors import MessageError
from heliograph.guard.places import Places
from heliograph.refusals import Refusals
from heliograph.tls import Tls
from heliograph.tls_context import agreed_to_http2, certified

OPENING_DEADLINE_S = 5.0
"""How long a client may take to begin as its protocol demands, its TLS included."""

IDLE_TICKS = 60_000 // rpc.KEEPALIVE_MS
"""A connection without a call for so many times the keepalive makes room."""

ADMITTED_AT_ONCE, ADMITTED_PER_S = 160, 40
"""Connections, of which each costs about a millisecond: a team comes at once, and a flood waits in the kernel."""

OFFENCE_COUNTS_AS = 16
"""A connection that is cut for what it did has cost as much as so many."""

LONGEST_PAUSE_S = 5.0
"""After many offenders at once; peers that come then are let in after it, and dial again meanwhile."""

BACKLOG = 1024

LeanHandler: TypeAlias = Callable[[AcceptedLeanCall], Awaitable[None]]

_log = logging.getLogger(__name__)


class LeanServer:
    """A `PeerServer`."""

    def __init__(self, *, tls: Tls | None, refusals: Refusals) -> None:
        self.tls, self.refusals = tls, refusals
        self.health = LeanHealth(refusals)
        self.places = Places(refusals.count)
        self.handlers: dict[bytes, LeanHandler] = dict(self.health.handlers)
        self._admission = Rate(at_once=ADMITTED_AT_ONCE, per_s=ADMITTED_PER_S, most_wait_s=LONGEST_PAUSE_S)
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()

    def serve(self, handler: Handler) -> None:
        self.handlers[EXCHANGE.encode()] = cast(LeanHandler, handler)

    def bind(self, listen: str, *, insecure: bool) -> int:
        rpc.require_private(listen, tls=self.tls, insecure=insecure)
        self._listener, address = listening.bind(listen)
        return listening.parse_address(address)[1]

    async def start(self) -> None:
        assert self._listener is not None
        self._listener.setblocking(False)
        self._listener.listen(BACKLOG)
        self._accepting = asyncio.create_task(self._accept(self._listener), name="accept peers")

    async def stop(self, *, grace_s: float) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait({self._accepting})
        if self._listener is not None:
            self._listener.close()
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in (*self._opening, *self._running):
            task.cancel()
        await asyncio.gather(*self._opening, *self._running, return_exceptions=True)
        links = [link for link in self.places.everybody if isinstance(link, AcceptedLink)]
        for link in links:
            link.close()
        if links:
            await asyncio.wait(
                {asyncio.ensure_future(link.gone.wait()) for link in links}, timeout=min(grace_s, GOODBYE_S)
            )
        for link in links:
            link.cut()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:  # too many files are open, as a rule
                _log.warning("cannot accept a connection error=%s", error)
                await asyncio.sleep(1.0)
                continue
            link = AcceptedLink(self, *address[:2])
            link.opening = loop.create_task(self._open(link, connection))
            self._opening.add(link.opening)
            link.opening.add_done_callback(partial(self._opened, link, connection))
            self.places.came(link)  # which may be cut at once
            if (pause_s := self._admission.spend(1)) > 0:
                await asyncio.sleep(pause_s)

    def cut(self, link: AcceptedLink, reason: str, *, status: str) -> None:
        """End a connection that did what it may not; the next ones wait for it."""
        self._admission.spend(OFFENCE_COUNTS_AS)
        self.places.cut(link, reason, status=status)

    async def _open(self, link: AcceptedLink, connection: socket.socket) -> None:
        security: dict[str, Any] = {}
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                security = {
                    "ssl": self.tls.context(is_server=True),
                    "ssl_handshake_timeout": OPENING_DEADLINE_S,
                    "ssl_shutdown_timeout": GOODBYE_S,
                }
            await asyncio.get_running_loop().connect_accepted_socket(lambda: link, connection, **security)
        except OSError as error:  # those of TLS among them
            connection.close()
            self.cut(link, f"TLS: {str(error) or type(error).__name__}", status="UNAUTHENTICATED")

    def _opened(self, link: AcceptedLink, connection: socket.socket, opening: asyncio.Task[None]) -> None:
        self._opening.discard(opening)
        if opening.cancelled():  # perhaps before it began
            connection.close()
            self.places.went(link)

    def run(self, call: AcceptedLeanCall, path: bytes) -> None:
        """Let the handler of a path have a call."""
        handler = self.handlers.get(path)
        if handler is None:
            call.finish("UNIMPLEMENTED", f"there is no method {path[:100].decode('ascii', 'replace')}")
        elif len(self._running) >= (most := rpc.MAX_CALLS if path == EXCHANGE.encode() else rpc.MAX_CALLS // 2):
            # Whoever watches health must leave room for peers; strangers who say that they are one are not kept.
            self.refusals.count("RESOURCE_EXHAUSTED")
            call.finish("RESOURCE_EXHAUSTED", f"there are {most} calls already")
        else:
            task = asyncio.get_running_loop().create_task(self._run(call, handler))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, call: AcceptedLeanCall, handler: LeanHandler) -> None:
        try:
            await handler(call)
        except CallEnded as ended:
            call.finish(ended.grpc_status, ended.message)
        except Exception:
            _log.exception("a call failed peer=%s", call.peer)
            call.finish("UNKNOWN", "the call failed")
        else:
            call.finish("OK", "")


class AcceptedLink(Link):
    """The server's end of a connection, and a `Visitor` of its places."""

    def __init__(self, server: LeanServer, host: str, port: int) -> None:
        super().__init__(is_client=False)
        self.address, self.host = listening.as_address(host, port), listening.network_of(host)
        self.identity: Identity | None = None
        self.opening: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()
        self._server = server
        self._idle_ticks = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        self.identity = certified(secured)
        self._opens_by = asyncio.get_running_loop().call_later(OPENING_DEADLINE_S, self._is_late)
        if not agreed_to_http2(secured):
            self.broke(MessageError("it did not agree to HTTP/2"))

    def on_begin(self, event: Event) -> None:
        if not isinstance(event, RequestReceived):
            return
        self._server.places.called(self)
        headers = list(event.headers)
        fields = dict(headers)
        call = AcceptedLeanCall(self, event.stream_id, headers, peer=self.address, identity=self.identity)
        self.calls[call.stream] = call
        if fields.get(b":method") != b"POST" or not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            call.finish("INVALID_ARGUMENT", "that is no call of gRPC")
        elif fields.get(b"grpc-encoding", b"identity") != b"identity":
            call.finish("UNIMPLEMENTED", "it compresses its messages, which nobody does here")
        else:
            self._server.run(call, fields.get(b":path", b""))

    def on_trailers(self, call: LeanCall, headers: list[tuple[bytes, bytes]]) -> None:
        return

    def on_ended(self, call: LeanCall) -> None:
        call.half_closed()

    def end_call(self, call: LeanCall, status: str, sentence: str) -> None:
        self.calls.pop(call.stream, None)
        if isinstance(call, AcceptedLeanCall):
            self.guarded(call.write_ending, status, sentence)

    def broke(self, error: MessageError) -> None:
        self._server.cut(self, error.message, status=error.grpc_status)

    def cut(self, reason: str = "this side has cut the connection") -> None:
        if hasattr(self, "transport"):
            super().cut(reason)
        elif self.opening is not None:
            self.opening.cancel()

    def on_idle(self) -> None:
        self._idle_ticks = 0 if self.calls else self._idle_ticks + 1
        if self._idle_ticks >= IDLE_TICKS:
            self.close()

    def on_lost(self) -> None:
        self._opens_by.cancel()
        self._server.places.went(self)
        self.gone.set()

    def _is_late(self) -> None:
        if not self.connection.has_opened and not self.is_over:
            self.broke(MessageError(f"nothing that opens a connection within {OPENING_DEADLINE_S:g} s"))
