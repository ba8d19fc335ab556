"""A coordinator that sends bytes which are no message: the node ends with one sentence, and waits for nothing."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from scripted_bundle import scripted_bundle

from agent_node.coordinator_world import CoordinatorWorld
from agent_node.node import Node
from heliograph import rpc
from heliograph.errors import WorldError
from heliograph.pb import coordination_pb2 as pb

WELCOME = pb.CoordinatorMessage(
    welcome=pb.Welcome(run_id="run", run_seed=3, team_size=2, greedy=True, late_policy="LATE_POLICY_MASK")
).SerializeToString()
GARBAGE = b"\xff\xff\xff"


@pytest.mark.parametrize("sent", [[GARBAGE], [WELCOME, GARBAGE]], ids=["instead of a welcome", "after it"])
def test_bytes_that_are_no_message_end_the_node(sent: list[bytes]) -> None:
    async def participate(requests, context):  # type: ignore[no-untyped-def]
        await context.read()
        for data in sent:
            await context.write(data)
        await context.read()  # until the node has left

    async def run() -> None:
        server = rpc.server(max_message_bytes=rpc.MAX_CONTROL_BYTES)
        handlers = {"Participate": grpc.stream_stream_rpc_method_handler(participate)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("heliograph.v1.Coordination", handlers),))
        address = f"127.0.0.1:{rpc.bind(server, '127.0.0.1:0')}"
        await server.start()
        try:
            async with asyncio.timeout(60):
                await Node(scripted_bundle(slot=0, team_size=2)).run(CoordinatorWorld(address, join_timeout_s=60))
        finally:
            await server.stop(grace=0)

    with pytest.raises(WorldError, match="3 bytes that are no message"):
        asyncio.run(run())
