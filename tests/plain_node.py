"""A node reduced to its side of the coordination protocol, driven line by line by a test over a real gRPC stream."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any

import grpc.aio

from heliograph import rpc
from heliograph.bundle import Bundle
from heliograph.certificates.identity import COORDINATOR
from heliograph.pb import coordination_pb2 as pb
from heliograph.pb import coordination_pb2_grpc as pb_grpc
from heliograph.tls import Tls

READ_DEADLINE_S = 60.0
"""Only what hangs reaches it, or the test's own bound before it, however busy the machine is."""


class PlainNode:
    """One session; an async context manager that joins on entry unless `join` is False."""

    def __init__(
        self, address: str, bundle: Bundle, *, join: bool = True, tls: Tls | None = None, **join_fields: Any
    ) -> None:
        self._address, self._join, self._tls = address, join, tls
        self.slot = bundle.manifest.slot
        self.join_message = pb.NodeMessage(
            join=pb.Join(
                **{
                    "protocol_version": rpc.PROTOCOL_VERSION,
                    "slot": self.slot,
                    "instance": f"instance-{id(self)}",
                    "peer_address": f"127.0.0.1:{4000 + self.slot}",
                    "bundle_digest": bundle.digest,
                    **join_fields,
                }
            )
        )

    async def __aenter__(self) -> PlainNode:
        self.channel = rpc.channel(
            self._address, max_message_bytes=rpc.MAX_CONTROL_BYTES, tls=self._tls, peer=COORDINATOR
        )
        # A first attempt may fail, of a server that is only about to listen or on a machine that is busy.
        self.call = pb_grpc.CoordinationStub(self.channel).Participate(wait_for_ready=True)
        if self._join:
            await self.call.write(self.join_message)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call.cancel()
        await self.channel.close()

    async def read(self, kind: str) -> Any:
        """The next message of this kind; others before it are skipped."""
        async with asyncio.timeout(READ_DEADLINE_S):
            while True:
                message = await self.call.read()
                assert message, f"the call ended before a {kind} came"
                if message.WhichOneof("kind") == kind:
                    return getattr(message, kind)

    async def act(self, agent_input: pb.Percept, **fields: Any) -> None:
        """Answer an agent input with its first legal action, unless fields say otherwise."""
        legal = agent_input.action_mask.index(1)
        act = pb.Act(**{"episode": agent_input.episode, "step": agent_input.step, "action": legal, **fields})
        await self.call.write(pb.NodeMessage(act=act))

    async def send(self, **kind: Any) -> None:
        await self.call.write(pb.NodeMessage(**kind))

    async def status(self) -> tuple[str, str]:
        """Wait for the end of the call; its status by name, and its sentence."""
        async with asyncio.timeout(READ_DEADLINE_S):
            # gRPC tells the status only after everything that came before it was read.
            with contextlib.suppress(grpc.aio.AioRpcError):
                while await self.call.read():
                    pass
            return (await self.call.code()).name, await self.call.details()
