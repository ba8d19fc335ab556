"""The way to the coordinator: whether it can be gone now, and what stands in it if not.  Imported by
`coordinator_world.py`.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

import grpc.aio

from heliograph import rpc
from heliograph.certificates.identity import COORDINATOR
from heliograph.errors import NetworkError
from heliograph.pb import coordination_pb2, coordination_pb2_grpc
from heliograph.renewed_channel import RenewedChannel
from heliograph.tls import Tls

PARTICIPATE = "/heliograph.v1.Coordination/Participate"

LOOK_S = 1.0
"""How often a certificate that was replaced is looked for while nobody answers."""

CAUSE_TIMEOUT_S = 2.0

Begin: TypeAlias = "grpc.aio.StreamStreamMultiCallable[coordination_pb2.NodeMessage, bytes]"
Session: TypeAlias = "grpc.aio.StreamStreamCall[coordination_pb2.NodeMessage, bytes]"
"""A call in which the node says what it does, and reads the coordinator's messages as bytes."""


class CoordinatorChannel:
    """Connects to `address` (host:port), which must have the coordinator's certificate if there is `tls`."""

    def __init__(self, address: str, *, tls: Tls | None) -> None:
        self._renewed = RenewedChannel(address, max_message_bytes=rpc.MAX_CONTROL_BYTES, tls=tls, peer=COORDINATOR)
        self._channel: grpc.aio.Channel | None = None

    @property
    def stub(self) -> coordination_pb2_grpc.CoordinationStub:
        """Over the connection that was ready last."""
        assert self._channel is not None
        return coordination_pb2_grpc.CoordinationStub(self._channel)

    def participate(self) -> Session:
        """A session over that connection, whose messages come as bytes: gRPC would make None of what is no message."""
        assert self._channel is not None
        serialise = coordination_pb2.NodeMessage.SerializeToString
        begin: Begin = self._channel.stream_stream(PARTICIPATE, request_serializer=serialise)
        return begin()

    async def is_ready(self, *, timeout_s: float) -> bool:
        """Whether the connection is up within that time, `LOOK_S` at most: then ask again."""
        self._channel = await self._renewed.newest()
        try:
            await asyncio.wait_for(self._channel.channel_ready(), min(timeout_s, LOOK_S))
        except TimeoutError:
            return False
        return True

    async def why_not(self) -> str:
        """What stands in the way of a connection; empty if nothing does any more."""
        try:
            await rpc.health_status(await self._renewed.newest(), timeout_s=CAUSE_TIMEOUT_S)
        except NetworkError as error:
            return self._renewed.cause(error)
        return ""

    async def close(self) -> None:
        await self._renewed.close()
