"""Nodes that talk TLS: who may speak for which slot, how much, and that the others are none the worse for it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from peer_stage import DEADLINE_S, TEAM, Stage, admitted, exchange, node_of_slot_1, transport, transport_now

from agent_node.allowance import MESSAGES_PER_STEP, OVERDRAFT
from agent_node.hello import Member
from agent_node.message import Message
from agent_node.node import Node
from agent_node.wire import MessageWire
from heliograph import rpc
from heliograph.certificates.authority import Authority
from heliograph.certificates.folder import make_team, team, write_authority, write_certificates
from heliograph.certificates.identity import Identity
from heliograph.tls import Tls

__all__ = ["transport"]

WIRE = MessageWire.of(TEAM[0].manifest)
ZERO = Member(slot=0, peer_address="", bundle_digest=TEAM[0].digest)
ONE = Member(slot=1, peer_address="", bundle_digest=TEAM[1].digest)

LOOP = asyncio.Runner()
"""One for the whole module: gRPC's poller can hold events for a closed loop, and then loses others with them."""


@pytest.fixture(scope="module", autouse=True)
def _one_loop() -> Iterator[None]:
    with LOOP:
        yield


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_team(folder, team(3))
    return folder


def said(step: int) -> bytes:
    return WIRE.serialise(Message(episode=0, step=step, latent=np.full(4, 3, dtype=np.int32), action=3)).data


async def overdo(call: grpc.aio.StreamStreamCall) -> None:
    await call.write(bytes(rpc.MAX_PEER_BYTES + 1))
    while True:  # what it was told before comes first
        await call.read()


def play(script: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await script()

    LOOP.run(run())


@asynccontextmanager
async def node_of_slot_2(tls: Tls, *, listen: str = "127.0.0.1:0") -> AsyncIterator[tuple[Node, Stage]]:
    """Slot 2, which slot 1 dials."""
    world, node = Stage([ONE]), Node(TEAM[2], listen=listen, tls=tls, transport=transport_now())
    running = asyncio.create_task(node.run(world))
    try:
        await world.step(0, receives_from=())
        yield node, world
    finally:
        world.end()
        await asyncio.wait_for(running, DEADLINE_S)


@pytest.mark.parametrize("impostor", ["slot-2", "coordinator"])
def test_nobody_speaks_for_the_slot_of_another_certificate(certificates: Path, impostor: str) -> None:
    async def script() -> None:
        async with node_of_slot_1(certificates=certificates) as (node, world, channel):
            honest = await admitted(channel)
            async with rpc.channel(
                node.peer_address, max_message_bytes=4096, tls=Tls(certificates / impostor), peer=Identity(slot=1)
            ) as stranger:
                # The very bytes that the honest peer was admitted with, and what it is about to say.
                call = exchange(stranger)
                assert await call.code() is grpc.StatusCode.PERMISSION_DENIED
                assert "does not speak for slot 0" in await call.details()
                assert node.refusals.counts == {"PERMISSION_DENIED": 1}
            await honest.write(said(0))
            report = await world.step(1)
            assert (report.masked, world.peers) == ((), (0,))

    play(script)


def test_plaintext_to_a_node_under_tls_gets_nowhere(certificates: Path) -> None:
    async def script() -> None:
        async with node_of_slot_1(certificates=certificates) as (node, world, channel):
            async with rpc.channel(node.peer_address, max_message_bytes=4096) as plain:
                assert await exchange(plain).code() is grpc.StatusCode.UNAVAILABLE
            call = await admitted(channel)
            await call.write(said(0))
            assert (await world.step(1)).masked == ()

    play(script)


def test_replayed_messages_are_rejected_and_counted(certificates: Path) -> None:
    async def script() -> None:
        async with node_of_slot_1(certificates=certificates) as (node, world, channel):
            call = await admitted(channel)
            for _ in range(3):
                await call.write(said(0))
            assert (await world.step(1)).masked == ()
            again = await admitted(channel)  # and on another stream of the same peer
            await again.write(said(0))
            await again.write(said(1))
            assert (await world.step(2)).masked == ()
            counters = (await node.totals())[0]
            assert (counters.delivered, counters.late + counters.rejected) == (2, 3)

    play(script)


def test_a_stream_without_end_is_cut_until_the_next_step_and_others_are_heard_meanwhile(certificates: Path) -> None:
    async def script() -> None:
        async with (
            node_of_slot_2(Tls(certificates / "slot-2")) as (other, other_world),
            node_of_slot_1(
                [ZERO, Member(slot=2, peer_address=other.peer_address, bundle_digest=TEAM[2].digest)],
                certificates=certificates,
            ) as (node, world, channel),
        ):
            await world.until(lambda: world.peers == (2,))
            await other_world.until(lambda: other_world.peers == (1,))
            flood = await admitted(channel)
            for _ in range(MESSAGES_PER_STEP + OVERDRAFT + 1):
                await flood.write(said(0))
            assert await flood.code() is grpc.StatusCode.ABORTED
            assert f"far more than {MESSAGES_PER_STEP} messages within one step" in await flood.details()
            back_at_once = exchange(channel)
            assert await back_at_once.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            await other_world.step(1, receives_from=(1,), deadline_s=0.0)
            assert (await world.step(1, receives_from=(0,))).masked == ()  # its first words count, as anybody's
            assert (await world.step(2, receives_from=(2,))).masked == ()
            counters = (await node.totals())[0]
            assert counters.delivered == 1
            assert counters.rejected >= MESSAGES_PER_STEP + OVERDRAFT
            back = await admitted(channel)
            await back.write(said(2))
            assert (await world.step(3, receives_from=(0,))).masked == ()

    play(script)


def test_what_is_too_long_for_a_message_is_rejected_and_what_is_far_too_long_ends_its_stream(
    certificates: Path,
) -> None:
    async def script() -> None:
        async with node_of_slot_1(certificates=certificates) as (node, world, channel):
            call = await admitted(channel)
            await call.write(bytes(rpc.MAX_PEER_BYTES))
            await call.write(said(0))
            assert (await world.step(1)).masked == ()
            assert (await node.totals())[0].rejected == 1
            with pytest.raises(grpc.aio.AioRpcError):
                await overdo(call)
            assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max" in await call.details()
            again = await admitted(channel)
            await again.write(said(1))
            assert (await world.step(2)).masked == ()

    play(script)


def test_a_peer_with_another_slots_certificate_is_not_talked_to(certificates: Path) -> None:
    async def script() -> None:
        told = asyncio.Event()

        class Told(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if re.search("Hostname (Verification|mismatch)", record.getMessage()):
                    told.set()

        handler = Told()
        logging.getLogger("agent_node.dialler").addHandler(handler)
        try:
            async with node_of_slot_2(Tls(certificates / "slot-0")) as (impostor, _):
                roster = [ZERO, Member(slot=2, peer_address=impostor.peer_address)]
                async with node_of_slot_1(roster, certificates=certificates) as (_, world, channel):
                    await told.wait()
                    call = await admitted(channel)
                    await call.write(said(0))
                    assert (await world.step(1)).masked == ()
                    assert world.peers == (0,)
        finally:
            logging.getLogger("agent_node.dialler").removeHandler(handler)

    play(script)


def test_a_node_dials_again_with_a_certificate_that_was_replaced(tmp_path: Path) -> None:
    """While it runs, both it and its peer go over to another authority."""
    old, new = Authority.make(days=1), Authority.make(days=1)
    for name, authority in (("old", old), ("new", new)):
        write_authority(authority, tmp_path / name)
        issued = {identity: authority.issue(identity, days=1) for identity in team(3)}
        write_certificates(issued, tmp_path / name, authority=tmp_path / name)

    async def script() -> None:
        async with node_of_slot_2(Tls(tmp_path / "old" / "slot-2")) as (first, _):
            address = first.peer_address
            node = node_of_slot_1([ZERO, Member(slot=2, peer_address=address)], certificates=tmp_path / "old")
            _, world, _ = await node.__aenter__()
            await world.until(lambda: world.peers == (2,))
        await world.until(lambda: world.peers == ())
        for path in (tmp_path / "new" / "slot-1").iterdir():
            path.rename(tmp_path / "old" / "slot-1" / path.name)
        async with node_of_slot_2(Tls(tmp_path / "new" / "slot-2"), listen=address):
            await world.until(lambda: world.peers == (2,))
        await node.__aexit__(None, None, None)

    play(script)
