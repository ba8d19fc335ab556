"""A real node's Peer service under real gRPC streams: who is refused, what is counted, and that the node goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peer_stage import DEADLINE_S, NEVER_S, TEAM, Stage, admitted, exchange, node_of_slot_1, transport, transport_now

from agent_node.dialler import FIRST_RETRY_S, LAST_RETRY_S, retry_pause_s
from agent_node.hello import Hello, Member
from agent_node.message import Message
from agent_node.node import Node
from agent_node.wire import MessageWire
from agent_node.world import Team
from heliograph import rpc
from heliograph.codecs.coding import Coding
from heliograph.link_counters import LinkCounters

__all__ = ["transport"]

WIRE = MessageWire.of(TEAM[0].manifest)

LOOP = asyncio.Runner()
"""One for the whole module: gRPC's poller can hold events for a closed loop, and then loses others with them."""


def said(step: int, *, episode: int = 0, value: int = 3) -> bytes:
    return WIRE.serialise(
        Message(episode=episode, step=step, latent=np.full(4, value, dtype=np.int32), action=value)
    ).data


async def counted(node: Node, condition: Callable[[LinkCounters], bool]) -> LinkCounters:
    """The node's counters of slot 0 once they are as awaited; the test's limit is the bound."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            counters = (await node.totals()).get(0, LinkCounters())
            if condition(counters):
                return counters
            await asyncio.sleep(0)


@pytest.fixture(scope="module", autouse=True)
def _one_loop() -> Iterator[None]:
    with LOOP:
        yield


def play(script: Callable[..., Awaitable[None]], roster: list[Member] | None = None) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), node_of_slot_1(roster) as (node, world, channel):
            await script(node, world, channel)

    LOOP.run(run())


@pytest.mark.parametrize(
    ("hello", "status", "sentence"),
    [
        (None, "INVALID_ARGUMENT", "hello has no run_id"),
        (b"\xff\xff", "INVALID_ARGUMENT", "not a hello"),
        (b"\x0a" * 3000, "INVALID_ARGUMENT", "none has more"),
        ({"run_id": "other"}, "FAILED_PRECONDITION", "run 'other'"),
        ({"protocol_version": 99}, "FAILED_PRECONDITION", "protocol version 99"),
        ({"bundle_digest": "0" * 64}, "FAILED_PRECONDITION", "bundle 000000000000"),
        ({"coding": Coding(spec="repeats")}, "FAILED_PRECONDITION", "writes latents with repeats, this node with bit-"),
        ({"slot": 1}, "PERMISSION_DENIED", "own"),
        ({"slot": 2}, "UNAVAILABLE", "not in this node's roster"),
        ({"slot": 7}, "PERMISSION_DENIED", "slot 7 in a team of 3"),
    ],
)
def test_strangers_are_refused_with_the_documented_status(
    hello: object, status: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    if isinstance(hello, dict):
        honest = {"run_id": "run", "slot": 0, "bundle_digest": TEAM[0].digest, "instance": "x"}
        hello = Hello(**(honest | hello)).serialise()

    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        call = exchange(channel, hello)
        assert (await call.code()).name == status
        assert sentence in await call.details()
        assert world.peers == ()
        call = await admitted(channel)
        await call.write(said(0))
        assert (await world.step(1)).masked == ()

    with caplog.at_level(logging.INFO):
        play(script)
    told = [record.levelname for record in caplog.records if record.getMessage().startswith("peer refused")]
    expected = {"INVALID_ARGUMENT": [], "UNAVAILABLE": ["INFO"]}
    assert told == expected.get(status, ["WARNING"]), "who may come in soon is no reason to worry"


def test_a_higher_slot_may_not_dial() -> None:
    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        call = exchange(channel, Hello(run_id="run", slot=2, bundle_digest="d", instance="x").serialise())
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "slot 2 is dialled by slot 1" in await call.details()

    play(script, [Member(slot=2, peer_address="127.0.0.1:1")])


BAD_DAYS = {
    "malformed": (b"\x12\xff\xff", {"rejected": 1}),
    "truncated": (said(1)[:-3], {"rejected": 1}),
    "oversized": (said(1) + b"\0" * 100, {"rejected": 1}),
    "out of range": (said(1, value=4)[:-1] + b"\x07", {"rejected": 1}),
    "stale": (said(0, value=4), {"late": 1}),
    "future": (said(10**6), {"rejected": 1}),
    "another episode": (said(0, episode=10**6), {"rejected": 1}),
    "early": (said(4), {"delivered": 1}),
}


@pytest.mark.parametrize("name", BAD_DAYS)
def test_bad_messages_are_counted_and_the_stream_goes_on(name: str) -> None:
    data, counts = BAD_DAYS[name]

    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        call = await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        assert (await world.step(1, receives_from=())).masked == ()
        await call.write(data)
        await call.write(said(1))
        await call.write(said(1))
        report = await world.step(2)
        assert report.masked == ()
        assert report.waited_s < 5
        expected = LinkCounters(delivered=1, delivered_bytes=len(said(1)), rejected=1, sent=2, read=1, read_bits=4 * 3)
        for field, count in counts.items():
            setattr(expected, field, getattr(expected, field) + count)
        if "delivered" in counts:
            expected.delivered_bytes += len(data)
        expected.sent_bytes, expected.sent_bits = len(await call.read()) + len(await call.read()), 2 * 4 * 3
        assert await counted(node, lambda now: now.rejected == expected.rejected) == expected

    play(script)


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(st.lists(st.binary(max_size=60), max_size=20))
def test_random_bytes_leave_the_stream_and_the_node_in_order(garbage: list[bytes]) -> None:
    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        call = await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        for data in garbage:
            await call.write(data)
        await call.write(said(0))
        assert (await world.step(1)).masked == ()
        counters = await counted(node, lambda now: now.delivered >= 1)
        assert counters.delivered + counters.rejected + counters.late == len(garbage) + 1

    play(script)


def test_a_message_beyond_the_transports_limit_ends_its_stream_and_nothing_else() -> None:
    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        call = await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        await call.write(b"\0" * (rpc.MAX_PEER_BYTES + 1))
        assert await call.code() is not grpc.StatusCode.OK
        await world.until(lambda: world.peers == ())
        again = await admitted(channel)
        await again.write(said(0))
        assert (await world.step(1)).masked == ()

    play(script)


def test_a_reconnect_replaces_the_stream_and_half_closing_leaves() -> None:
    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        old = await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        new = await admitted(channel)
        assert await old.code() is grpc.StatusCode.ABORTED
        assert "replaced by a newer stream" in await old.details()
        assert world.peers == (0,)
        await new.write(said(0))
        assert (await world.step(1)).masked == ()
        assert WIRE.parse(await new.read()).label == (0, 0)
        await new.done_writing()
        assert WIRE.parse(await new.read()).label == (0, 1), "what was said is still sent"
        assert await new.read() is grpc.aio.EOF
        assert await new.code() is grpc.StatusCode.OK
        await world.until(lambda: world.peers == ())

    play(script)


def test_the_rosters_new_instance_ends_the_old_ones_stream() -> None:
    address = "127.0.0.1:1"

    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        old = await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        node.update_roster([Member(slot=0, peer_address=address, instance="second")])
        assert await old.code() is grpc.StatusCode.ABORTED
        await world.until(lambda: world.peers == ())
        refused = exchange(channel)
        assert await refused.code() is grpc.StatusCode.PERMISSION_DENIED
        hello = Hello(run_id="run", slot=0, bundle_digest=TEAM[0].digest, instance="second")
        await admitted(channel, hello)
        await world.until(lambda: world.peers == (0,))
        node.update_roster([])
        await world.until(lambda: world.peers == ())

    play(script, [Member(slot=0, peer_address=address, instance="first")])


def test_the_deadline_masks_who_did_not_speak_and_silence_ends_the_waiting_and_the_sending() -> None:
    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        call = await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        for step in (1, 2, 3):
            report = await world.step(step, deadline_s=0.06)
            assert report.masked == (0,)
            assert report.waited_s > 0.04
        # Nobody waits for the silent: a step that did would be given up.
        assert (await world.step(4, deadline_s=NEVER_S)).masked == (0,)
        await world.step(5, deadline_s=NEVER_S)
        await call.write(said(1))
        await counted(node, lambda now: now.late == 1)
        await call.write(said(5))
        assert (await world.step(6)).masked == ()
        labels = [WIRE.parse(await call.read()).label[1] for _ in range(5)]
        # The message of step 3 was made when the third silence was known; it and that of step 4 were never sent.
        assert labels == [0, 1, 2, 5, 6]
        assert (await counted(node, lambda now: True)).send_skipped == 2

    play(script)


def test_nobody_is_awaited_without_a_stream_or_at_a_first_step() -> None:
    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        assert (await world.step(1, receives_from=(0, 2), deadline_s=NEVER_S)).masked == (0, 2)
        await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        report = await world.step(7, receives_from=(0, 2), deadline_s=NEVER_S)
        assert report.masked == (), "a gap makes it a first step, which reads nothing"

    play(script)


def test_a_stream_that_breaks_while_it_is_awaited_ends_the_waiting() -> None:
    async def script(node: Node, world: Stage, channel: grpc.aio.Channel) -> None:
        call = await admitted(channel)
        await world.until(lambda: world.peers == (0,))
        stepping = asyncio.create_task(world.step(1, deadline_s=NEVER_S))
        assert WIRE.parse(await call.read()).label == (0, 0)
        call.cancel()
        assert (await stepping).masked == (0,)

    play(script)


def test_health_says_serving_only_between_joining_and_draining() -> None:
    async def script() -> None:
        world, node = Stage([]), Node(TEAM[1], transport=transport_now())
        entered, go_on = asyncio.Event(), asyncio.Event()
        enter = world.enter

        async def slow_enter(handle: Node) -> Team:
            entered.set()
            await go_on.wait()
            return await enter(handle)

        world.enter = slow_enter
        running = asyncio.create_task(node.run(world))
        await entered.wait()
        async with rpc.channel(node.peer_address, max_message_bytes=2**20) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            refused = exchange(channel)
            assert await refused.code() is grpc.StatusCode.UNAVAILABLE
            go_on.set()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            world.end()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            watch.cancel()
        await asyncio.wait_for(running, DEADLINE_S)

    asyncio.run(script())


def test_redialling_backs_off_within_its_bounds() -> None:
    for failures in range(40):
        pauses = [retry_pause_s(failures) for _ in range(50)]
        assert min(pauses) >= FIRST_RETRY_S / 2
        assert max(pauses) <= LAST_RETRY_S * 1.5
    assert len({retry_pause_s(3) for _ in range(20)}) > 1, "no two nodes in step"
