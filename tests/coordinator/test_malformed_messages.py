"""Bytes that are no message of the protocol, at every place where the coordinator reads some: refused and counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import grpc.aio
import pytest
from mangled_bytes import mangled
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
SAID = {
    "join": pb.NodeMessage.FromString(JOIN),
    "connected": pb.NodeMessage(connected=pb.Connected(slots=[1])),
    "act": pb.NodeMessage(act=pb.Act(episode=3, step=2, action=1, masked=[1], latent=bytes(20))),
    "counters": pb.NodeMessage(
        counters=pb.Counters(links=[pb.LinkCounters(peer=1, sent=3, sent_bytes=90, delivered=3, delivered_bytes=90)])
    ),
    "prepared": pb.NodeMessage(prepared=pb.Prepared(digest=BUNDLES[0].digest, reason="it does not fit")),
}
"""All that a node can say, as it says it."""
FINE_UNASKED = {"connected", "counters", "prepared"}
"""What of it is taken at any time: damaged a little it may still be such a message."""


async def ended(call: grpc.aio.Call) -> str:
    """The status of a call, by name, once it is over; gRPC tells it after all that came before it was read."""
    if isinstance(call, (grpc.aio.StreamStreamCall, grpc.aio.UnaryStreamCall)):
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


def test_all_kinds_of_messages_are_tried():
    kinds = pb.NodeMessage.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert [kind.name for kind in kinds] == list(SAID)
    assert all(message.WhichOneof("kind") == kind for kind, message in SAID.items())


async def told_in_the_middle(server, channel, data):
    """The status of a session of slot 0, beside one of slot 1, in which `data` comes after the join."""
    call = channel.stream_stream(f"{SERVICE}/Participate")()
    await call.write(JOIN)
    await call.write(data)
    await call.done_writing()
    status = await ended(call)
    assert await server.team.wait_until(lambda: server.team.live == (1,), timeout_s=10)
    return status


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAID)
def test_in_the_middle_of_a_session_it_ends_that_session_alone(kind):
    async def check(server, channel):
        statuses = Counter()
        async with PlainNode(server.address, BUNDLES[1]) as other:
            await other.read("welcome")
            for seed in range(200):
                data = mangled(SAID[kind].SerializeToString(), seed)
                statuses[await told_in_the_middle(server, channel, data)] += 1
            return statuses, server.refusals.counts

    statuses, counted = serve(check)
    # An act that nobody asked for is refused as well, and so is another join.
    assert set(statuses) == ({"INVALID_ARGUMENT", "OK"} if kind in FINE_UNASKED else {"INVALID_ARGUMENT"})
    assert statuses["INVALID_ARGUMENT"] >= 50
    assert counted == {"INVALID_ARGUMENT": statuses["INVALID_ARGUMENT"]}


WHOLE_AND_WRONG = {
    "nothing": (pb.NodeMessage(), "sent an empty message in the middle"),
    "another join": (SAID["join"], "sent join in the middle of its session"),
    "connected with itself": (pb.NodeMessage(connected=pb.Connected(slots=[0, 1])), "peers [0, 1] in a team of 2"),
    "connected with nobody": (pb.NodeMessage(connected=pb.Connected(slots=[2**32 - 1])), "in a team of 2"),
    "an act unasked": (SAID["act"], "an act for episode 3 step 2, but owes none"),
    "absent nobodies": (pb.NodeMessage(act=pb.Act(masked=[2])), "masked slots [2] in a team of 2"),
    "counts of itself": (pb.NodeMessage(counters=pb.Counters(links=[pb.LinkCounters()])), "peers [0] in a team of 2"),
}


def test_a_message_that_means_nothing_ends_the_session_with_a_sentence():
    async def check(server, channel):
        told = {}
        for name, (message, _) in WHOLE_AND_WRONG.items():
            call = channel.stream_stream(f"{SERVICE}/Participate")()
            await call.write(JOIN)
            await call.write(message.SerializeToString())
            await call.done_writing()
            told[name] = await ended(call), await call.details()
            assert await server.team.wait_until(lambda: not server.team.live, timeout_s=10)
        return told, server.refusals.counts

    told, counted = serve(check)
    assert {status for status, _ in told.values()} == {"INVALID_ARGUMENT"}
    assert [name for name, (_, sentence) in WHOLE_AND_WRONG.items() if sentence not in told[name][1]] == []
    assert counted == {"INVALID_ARGUMENT": len(WHOLE_AND_WRONG)}


REQUEST = pb.FetchBundleRequest(slot=1, digest=BUNDLES[1].digest).SerializeToString()


@pytest.mark.slow
def test_a_request_for_a_bundle_that_is_anything_is_refused_and_counted_or_served():
    async def check(server, channel):
        statuses = Counter()
        for seed in range(200):
            call = channel.unary_stream(f"{SERVICE}/FetchBundle")(mangled(REQUEST, seed))
            statuses[await ended(call)] += 1
        return statuses, server.refusals.counts

    statuses, counted = serve(check)
    refusals = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "ALREADY_EXISTS"}
    assert set(statuses) <= {"OK", *refusals}
    assert statuses["INVALID_ARGUMENT"] >= 30
    assert statuses["FAILED_PRECONDITION"] >= 20
    assert counted == {name: count for name, count in statuses.items() if name != "OK"}


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
