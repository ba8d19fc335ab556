"""Slots for nodes that come without one, over real gRPC: each to one node at a time, and again once it is free."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import grpc.aio
import pytest
from plain_node import PlainNode
from relay_team import relay_bundles

from coordinator.serving import slot_reservations
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from heliograph import bundle as bundle_files
from heliograph import rpc
from heliograph.pb import coordination_pb2 as pb
from heliograph.pb import coordination_pb2_grpc as pb_grpc

BUNDLES = relay_bundles(2)

Fetch = Callable[[], Awaitable[int]]


def serve(check: Callable[[CoordinationServer, Fetch], Awaitable[None]]) -> None:
    """Run `check(server, fetch)`, where `fetch()` asks for any slot and returns the one that the bundle is for."""

    async def run() -> None:
        async with (
            asyncio.timeout(30),
            CoordinationServer(BUNDLES, TeamSettings(run_seed=9, greedy=True)) as server,
            rpc.channel(server.address, max_message_bytes=rpc.MAX_CONTROL_BYTES) as channel,
        ):

            async def fetch() -> int:
                chunks = pb_grpc.CoordinationStub(channel).FetchBundle(pb.FetchBundleRequest(any_slot=True))
                tar = b"".join([chunk.data async for chunk in chunks])
                return bundle_files.from_tar(tar, origin="the wire").manifest.slot

            await check(server, fetch)

    asyncio.run(run())


def test_nodes_that_ask_at_once_get_slots_of_their_own_and_the_next_one_is_refused() -> None:
    async def check(server: CoordinationServer, fetch: Fetch) -> None:
        assert sorted(await asyncio.gather(fetch(), fetch())) == [0, 1]
        with pytest.raises(grpc.aio.AioRpcError, match="all 2 slots are held") as refused:
            await fetch()
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS

    serve(check)


def test_a_live_nodes_slot_is_nobody_elses_and_free_at_once_when_it_leaves() -> None:
    async def check(server: CoordinationServer, fetch: Fetch) -> None:
        assert await fetch() == 0
        async with PlainNode(server.address, BUNDLES[0]) as node:
            await node.read("welcome")
            assert await fetch() == 1
            with pytest.raises(grpc.aio.AioRpcError, match="all 2 slots are held"):
                await fetch()
        assert await server.team.wait_until(lambda: server.team.live == (), timeout_s=10)
        assert await fetch() == 0

    serve(check)


def test_a_promise_that_nobody_keeps_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_reservations, "PROMISE_S", 0.0)

    async def check(server: CoordinationServer, fetch: Fetch) -> None:
        assert [await fetch(), await fetch()] == [0, 0]

    serve(check)
