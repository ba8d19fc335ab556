"""The way to the coordinator: one channel, made again when this node's certificate is another one by then.

Imported by `coordinator_world.py`.
"""

from __future__ import annotations

import asyncio

import grpc.aio

from heliograph import rpc
from heliograph.certificates.identity import COORDINATOR
from heliograph.errors import NetworkError
from heliograph.pb import coordination_pb2_grpc
from heliograph.tls import Tls

LOOK_S = 1.0
"""How often a certificate that was replaced is looked for while nobody answers."""

CAUSE_TIMEOUT_S = 2.0


class CoordinatorChannel:
    """Connects to `address` (host:port), which must have the coordinator's certificate if there is `tls`."""

    def __init__(self, address: str, *, tls: Tls | None) -> None:
        self._address, self._tls = address, tls
        self._open()

    @property
    def stub(self) -> coordination_pb2_grpc.CoordinationStub:
        return coordination_pb2_grpc.CoordinationStub(self._channel)

    async def is_ready(self, *, timeout_s: float) -> bool:
        """Whether the connection is up within that time, `LOOK_S` at most: then ask again."""
        if self._tls is not None and self._tls.channel_credentials() is not self._credentials:
            # A channel keeps the certificate that it was made with.
            await self._channel.close()
            self._open()
        try:
            await asyncio.wait_for(self._channel.channel_ready(), min(timeout_s, LOOK_S))
        except TimeoutError:
            return False
        return True

    async def why_not(self) -> str:
        """What stands in the way of a connection, as gRPC says it to a call; empty if nothing does any more."""
        try:
            await rpc.health_status(self._channel, timeout_s=CAUSE_TIMEOUT_S)
        except NetworkError as error:
            trouble = "" if self._tls is None else self._tls.trouble()
            return f"{error}; {trouble}" if trouble else str(error)
        return ""

    async def close(self) -> None:
        await self._channel.close()

    def _open(self) -> None:
        self._credentials = None if self._tls is None else self._tls.channel_credentials()
        self._channel: grpc.aio.Channel = rpc.channel(
            self._address, max_message_bytes=rpc.MAX_CONTROL_BYTES, tls=self._tls, peer=COORDINATOR
        )
