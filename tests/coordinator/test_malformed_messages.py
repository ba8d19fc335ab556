"""Bytes that are no message of the protocol, at every place where the coordinator reads some: refused and counted."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import grpc.aio
import pytest
from plain_node import PlainNode
from relay_team import relay_bundles

from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from heliograph import rpc
from heliograph.pb import coordination_pb2 as pb

BUNDLES = relay_bundles(2)
SERVICE = "/heliograph.v1.Coordination"
JOIN = pb.NodeMessage(
    join=pb.Join(
        protocol_version=rpc.PROTOCOL_VERSION,
        slot=0,
        instance="one",
        peer_address="127.0.0.1:4000",
        bundle_digest=BUNDLES[0].digest,
    )
).SerializeToString()
ACT = pb.NodeMessage(act=pb.Act(episode=3, step=2, action=1, masked=[1], latent=bytes(20))).SerializeToString()


def mangled(message: bytes, seed: int) -> bytes:
    """The message with a few bytes changed, cut or doubled; or bytes that were never one."""
    rng = random.Random(seed)
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(1, 60))
    data = bytearray(message)
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randrange(1, len(data))] if rng.random() < 0.3 else data)


async def ended(call: grpc.aio.Call) -> str:
    """The status of a call, by name, once it is over; gRPC tells it after all that came before it was read."""
    if isinstance(call, grpc.aio.StreamStreamCall):
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read():
                pass
    return (await call.code()).name


def serve(check):
    async def run():
        async with (
            asyncio.timeout(60),
            CoordinationServer(BUNDLES, TeamSettings(run_seed=9, greedy=True)) as server,
            rpc.channel(server.address, max_message_bytes=rpc.MAX_CONTROL_BYTES) as channel,
        ):
            return await check(server, channel)

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def no_tracebacks(caplog):
    yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.slow
def test_a_session_that_begins_with_anything_ends_with_a_counted_refusal_or_is_welcomed():
    async def check(server, channel):
        statuses = Counter()
        for seed in range(300):
            call = channel.stream_stream(f"{SERVICE}/Participate")()
            await call.write(mangled(JOIN, seed))
            await call.done_writing()
            statuses[await ended(call)] += 1
            assert await server.team.wait_until(lambda: not server.team.live, timeout_s=10)
        return statuses, server.refusals.counts

    statuses, counted = serve(check)
    assert set(statuses) <= {"OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND"}
    assert statuses["INVALID_ARGUMENT"] > 100
    assert counted == {name: count for name, count in statuses.items() if name != "OK"}


@pytest.mark.slow
def test_in_the_middle_of_a_session_it_ends_that_session_alone():
    async def check(server, channel):
        statuses = Counter()
        async with PlainNode(server.address, BUNDLES[1]) as other:
            await other.read("welcome")
            for seed in range(200):
                call = channel.stream_stream(f"{SERVICE}/Participate")()
                await call.write(JOIN)
                await call.write(mangled(ACT, seed))
                await call.done_writing()
                statuses[await ended(call)] += 1
                assert await server.team.wait_until(lambda: server.team.live == (1,), timeout_s=10)
            return statuses, server.refusals.counts

    statuses, counted = serve(check)
    assert set(statuses) == {"INVALID_ARGUMENT"}, "an act that nobody asked for is refused as well"
    assert counted == statuses


def test_a_request_for_a_bundle_that_is_none():
    async def check(server, channel):
        call = channel.unary_stream(f"{SERVICE}/FetchBundle")(b"\xff\xff\xff")
        return await ended(call), await call.details(), dict(server.refusals.counts)

    status, sentence, counted = serve(check)
    assert (status, counted) == ("INVALID_ARGUMENT", {"INVALID_ARGUMENT": 1})
    assert "FetchBundle is no message of its kind (3 bytes)" in sentence


def test_a_question_of_health_that_is_none_and_one_that_is():
    async def check(server, channel):
        call = channel.unary_unary("/grpc.health.v1.Health/Check")(b"\x0a\xff")
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\x0a\xff")
        return [await ended(call), await ended(watch)], await rpc.health_status(channel, timeout_s=10)

    assert serve(check) == (["INVALID_ARGUMENT"] * 2, "SERVING")
