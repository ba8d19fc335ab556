"""A TCP relay that counts: one listening port per pair of slots, every byte passed on as it came.

Each direction of each connection has its reader of HTTP/2 frames.  A half-close is passed on as one, because gRPC
ends its streams so; a connection that breaks on one side is broken on the other.  Imported by `proxied_links.py`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from coordinator.links import tcp_info
from coordinator.links.http2 import KINDS, FrameReader
from coordinator.links.tcp_info import TcpInfo
from coordinator.links.traffic import FrameCount, LinkTraffic

logger = logging.getLogger(__name__)

IP_AND_TCP_BYTES, TIMESTAMPS_BYTES = 20 + 20, 12
"""Headers of a segment over IPv4: without options, and the one that Linux puts into each."""


class PairProxy:
    """Relays the connections that one slot of a pair opens to the other; an async context manager.

    It listens at `address` and dials `target` (host:port), which may change whenever the callee is started anew.
    """

    def __init__(self, *, host: str = "127.0.0.1") -> None:
        self.target = ""
        self.address = ""
        self.connections = 0
        self._host = host
        self._readers: dict[bool, list[FrameReader]] = {True: [], False: []}
        self._newest: tuple[_Side, _Side] | None = None
        self._sides: set[_Side] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._nobody_left = asyncio.Event()

    async def __aenter__(self) -> PairProxy:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self, from_dialler=True), self._host, 0)
        self.address = f"{self._host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._dialling:
            task.cancel()
        if self._dialling:
            await asyncio.wait(self._dialling)
        for side in self._sides:
            side.abort()
        while self._sides:
            self._nobody_left.clear()
            await self._nobody_left.wait()

    def http2_bytes(self, *, from_dialler: bool) -> int:
        """All bytes that came from one side so far."""
        return sum(reader.total_bytes for reader in self._readers[from_dialler])

    def passed(self, *, from_dialler: bool) -> LinkTraffic:
        """All that came from one side so far; its segments are those of the newest connection."""
        readers = self._readers[from_dialler]
        info = self._tcp_info(from_dialler=from_dialler)
        segments = None if info is None else info.segments_in
        payload = None if info is None else info.bytes_received
        per_segment = IP_AND_TCP_BYTES + TIMESTAMPS_BYTES * (info is not None and info.timestamps)
        return LinkTraffic(
            connections=self.connections,
            http2_bytes=sum(reader.total_bytes for reader in readers),
            frames={
                kind: FrameCount(
                    frames=sum(reader.counts[kind].frames for reader in readers),
                    bytes=sum(reader.counts[kind].bytes for reader in readers),
                )
                for kind in KINDS
            },
            tcp_segments=segments,
            ip_bytes=None if segments is None or payload is None else payload + segments * per_segment,
        )

    @property
    def violations(self) -> list[str]:
        """Why bytes could not be told apart as frames, once per connection and direction."""
        return [reader.violation for readers in self._readers.values() for reader in readers if reader.violation]

    def _tcp_info(self, *, from_dialler: bool) -> TcpInfo | None:
        if self._newest is None:
            return None
        return self._newest[0 if from_dialler else 1].tcp_info()

    def opened(self, side: _Side) -> FrameReader:
        """A side has a connection; returns what reads it."""
        self._sides.add(side)
        reader = FrameReader(client=side.from_dialler)
        self._readers[side.from_dialler].append(reader)
        if side.from_dialler:
            self.connections += 1
            task = asyncio.get_running_loop().create_task(self._dial(side))
            self._dialling.add(task)
            task.add_done_callback(self._dialling.discard)
        return reader

    def closed(self, side: _Side) -> None:
        self._sides.discard(side)
        self._nobody_left.set()

    async def _dial(self, caller: _Side) -> None:
        host, _, port = self.target.rpartition(":")
        try:
            _, callee = await asyncio.get_running_loop().create_connection(
                lambda: _Side(self, from_dialler=False), host, int(port or 0)
            )
        except OSError as error:
            logger.info("cannot reach target=%s error=%s", self.target, error)
            caller.abort()
            return
        self._newest = caller, callee
        caller.join(callee)


class _Side(asyncio.Protocol):
    """One of the two sockets of a relayed connection: what comes out of it goes into `other`."""

    def __init__(self, proxy: PairProxy, *, from_dialler: bool) -> None:
        self.from_dialler = from_dialler
        self._proxy = proxy
        self._other: _Side | None = None
        self._early: list[bytes] = []  # what came before there was anybody to pass it on to
        self._ended = self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._reader = self._proxy.opened(self)

    def join(self, other: _Side) -> None:
        """Both sockets are there: begin to relay, unless one of them has left meanwhile."""
        self._other, other._other = other, self
        if self._lost or other._lost:
            self.abort()
            other.abort()
            return
        for side in (self, other):
            side._pass_on(b"".join(side._early))
            if side._ended:
                side._pass_on_end()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._other is None:
            self._early.append(data)
        else:
            self._pass_on(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self._other is not None:
            self._pass_on_end()
        return True  # its own half stays open for what still comes from the other side

    def _pass_on(self, data: bytes) -> None:
        assert self._other is not None
        self._other._transport.write(data)

    def _pass_on_end(self) -> None:
        assert self._other is not None
        if self._other._ended:
            self._other._transport.close()
            self._transport.close()
        else:
            self._other._transport.write_eof()

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and not self._other._lost:
            self._other._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._proxy.closed(self)
        if self._other is not None and not self._other._lost:
            self._other._transport.close() if error is None else self._other.abort()

    def abort(self) -> None:
        self._transport.abort()

    def tcp_info(self) -> TcpInfo | None:
        if self._lost:
            return None
        return tcp_info.of_socket(self._transport.get_extra_info("socket").fileno())
