"""Relays TCP connections to a server behind it, and keeps strangers from using up what that server has for everybody.

grpcio offers no hook before a connection's handshake is done, nor for the frames that make up a call's headers, and
has one limit of connections for all clients together.  So this stands in front of it where other machines can reach it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from types import TracebackType
from typing import cast

from heliograph import listening
from heliograph.errors import MessageError
from heliograph.guard.opening import Opening
from heliograph.guard.places import Places
from heliograph.rpc import KEEPALIVE_MS

OPENING_DEADLINE_S = 5.0
"""How long a client may take to begin as its protocol demands."""

TAKEN_AT_ONCE = 32
"""Connections that the loop takes before it can cut any; more would be open files that nobody has bounded yet."""

BACKLOG = 1024
"""Of which the others wait in the kernel."""

_log = logging.getLogger(__name__)


class Door:
    """An async context manager: inside, clients that reach `listen` (host:port) are relayed to `server`.

    `opening` makes what reads a client's first bytes.  `refused(status)` is told of each connection that is cut, with
    the name of the gRPC status that comes nearest.  Entering raises SettingsError or PortTaken.
    """

    def __init__(
        self, *, listen: str, server: str, opening: Callable[[], Opening], refused: Callable[[str], None]
    ) -> None:
        self.address = ""
        self._listen, self._server = listen, listening.parse_address(server)
        self._opening, self._places = opening, Places(refused)
        self._clients_by_port: dict[int, str] = {}
        self._dialling: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Door:
        listener, self.address = listening.bind(self._listen)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # As gRPC asks of its own sockets, and those that come out of this one inherit: who acknowledges nothing for
            # so long has lost its connection, which is known then before the deadline of an action has passed.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, KEEPALIVE_MS)
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: _Client(self, self._opening()), sock=listener, backlog=TAKEN_AT_ONCE
        )
        # asyncio has one number for what it takes at once and for what waits.
        listener.listen(BACKLOG)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for client in self._places.everybody:
            client.cut()
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)

    def client_of(self, peer: str) -> str:
        """Who is behind a peer of the server, as gRPC names it ("ipv4:127.0.0.1:50112"); itself if nobody is."""
        port = peer.rpartition(":")[2]
        return self._clients_by_port.get(int(port), peer) if port.isdecimal() else peer

    # From the connections ----------------------------------------------------------------------------------------

    def came(self, client: _Client) -> None:
        self._places.came(client)

    def called(self, client: _Client) -> None:
        self._places.called(client)

    def broke(self, client: _Client, error: MessageError) -> None:
        self._places.cut(client, error.message, status="INVALID_ARGUMENT")

    def went(self, client: _Client) -> None:
        self._places.went(client)
        self._clients_by_port.pop(client.port_behind, None)

    def dial(self, client: _Client) -> None:
        task = asyncio.get_running_loop().create_task(self._dial(client))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, client: _Client) -> None:
        try:
            transport, server = await asyncio.get_running_loop().create_connection(
                lambda: _Server(client), *self._server
            )
        except OSError as error:
            _log.warning("cannot reach the server behind error=%s", error)
            client.cut()
            return
        client.port_behind = transport.get_extra_info("sockname")[1]
        self._clients_by_port[client.port_behind] = client.address
        client.join(server)


class _Relay(asyncio.Protocol):
    """One of the two sockets of a relayed connection: what comes out of it goes into `other`."""

    other: _Relay | None = None
    is_lost = has_ended = False
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.has_ended = True
        if self.other is not None:
            self.pass_on_end()
        return True  # its own half stays open for what still comes from the other side

    def pass_on_end(self) -> None:
        assert self.other is not None
        if self.other.has_ended:
            self.other.transport.close()
            self.transport.close()
        elif not self.other.is_lost:
            self.other.transport.write_eof()

    def pause_writing(self) -> None:
        if self.other is not None and not self.other.is_lost:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_lost:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        if self.other is not None and not self.other.is_lost:
            self.other.transport.close() if error is None else self.other.transport.abort()


class _Server(_Relay):
    """The side of the server behind the door; made once its client has opened."""

    other: _Client

    def __init__(self, client: _Client) -> None:
        self.other = client

    def data_received(self, data: bytes) -> None:
        if not self.other.is_lost:
            super().data_received(data)


class _Client(_Relay):
    """The side of a client."""

    def __init__(self, door: Door, opening: Opening) -> None:
        self._door, self._opening = door, opening
        self._early: list[bytes] = []  # what came before there was anybody to pass it on to
        self.address = self.host = ""
        self.port_behind = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        host, port = transport.get_extra_info("peername")[:2]
        self.address = listening.as_address(host, port)
        self.host = listening.network_of(host)
        self._deadline = asyncio.get_running_loop().call_later(OPENING_DEADLINE_S, self._is_late)
        self._door.came(self)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        try:
            self._opening.feed(data)
        except MessageError as error:
            self._door.broke(self, error)
            return
        if self._opening.is_calling:
            self._door.called(self)
        if self.other is not None:
            super().data_received(data)
            return
        self._early.append(data)
        if self._opening.has_opened and not self._deadline.cancelled():
            self._deadline.cancel()
            # Until the server is there, TCP keeps what else comes.
            self.transport.pause_reading()
            self._door.dial(self)

    def join(self, server: _Server) -> None:
        """The server is there: begin to relay, unless this side has left meanwhile."""
        self.other = server
        if self.is_lost or self.transport.is_closing():
            server.transport.abort()
            return
        server.transport.write(b"".join(self._early))
        self._early.clear()
        self.transport.resume_reading()
        if self.has_ended:
            self.pass_on_end()

    def cut(self) -> None:
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._deadline.cancel()
        self._door.went(self)
        super().connection_lost(error)

    def _is_late(self) -> None:
        self._door.broke(self, MessageError(f"nothing that opens a connection within {OPENING_DEADLINE_S:g} s"))
