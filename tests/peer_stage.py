"""A real node of slot 1 whose world is stepped by a test, and a channel to it over which the test speaks as slot 0."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from scripted_bundle import scripted_team

from agent_node.agent_input import AgentInput
from agent_node.hello import HELLO_METADATA, Hello, Member
from agent_node.node import Node
from agent_node.standalone_world import StandaloneWorld
from agent_node.world import StepReport, Team
from heliograph import rpc
from heliograph.bundle import Bundle
from heliograph.certificates.identity import Identity
from heliograph.codecs.coding import Coding
from heliograph.tls import Tls
from heliograph.transports import TRANSPORTS

TEAM = scripted_team(team_size=3)
HELLO = Hello(run_id="run", slot=0, bundle_digest=TEAM[0].digest, instance="first")
PATH = "/heliograph.v1.Peer/Exchange"
DEADLINE_S = 20.0

transport = pytest.fixture(scope="module", autouse=True, params=TRANSPORTS)(lambda request: chosen(request.param))
"""Imported by a module, it runs all of its tests once for each transport of the node; the test itself speaks grpcio."""

NEVER_S = 100 * DEADLINE_S
"""Of a message: the test gives up before a node that waits for it."""
BIT_PACKED = Coding()


_chosen = ["grpcio"]
_serving: list[Node] = []
"""The node of the block that is open."""


def chosen(name: str) -> str:
    """Nodes that are made from now on have this transport."""
    _chosen[0] = name
    return name


def transport_now() -> str:
    """Of nodes that are made now."""
    return _chosen[0]


class Stage(StandaloneWorld):
    """A world whose steps the test takes one by one."""

    def __init__(self, roster: list[Member], coding: Coding = BIT_PACKED) -> None:
        super().__init__(team=Team(run_id="run", run_seed=1, greedy=True, coding=coding), roster=roster)
        self._agent_inputs: asyncio.Queue[AgentInput | None] = asyncio.Queue()
        self._reports: asyncio.Queue[StepReport] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._seen: asyncio.Event = asyncio.Event()

    async def agent_input(self) -> AgentInput | None:
        return await self._agent_inputs.get()

    async def act(self, report: StepReport) -> None:
        self._reports.put_nowait(report)

    def connected(self, slots: tuple[int, ...]) -> None:
        super().connected(slots)
        self._seen.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a change of the peers after which the condition holds."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._seen.clear()
                await self._seen.wait()

    async def step(self, step: int, *, receives_from: tuple[int, ...] = (0,), deadline_s: float = 10.0) -> StepReport:
        self._agent_inputs.put_nowait(
            AgentInput(
                episode=0,
                step=step,
                observation=np.zeros(6, np.float32),
                action_mask=np.ones(5, bool),
                receives_from=receives_from,
                sends_to=receives_from,
                first=step == 0,
                message_deadline_s=deadline_s,
            )
        )
        return await asyncio.wait_for(self._reports.get(), DEADLINE_S)

    def end(self) -> None:
        self._agent_inputs.put_nowait(None)


@asynccontextmanager
async def node_of_slot_1(
    roster: list[Member] | None = None,
    *,
    bundle: Bundle = TEAM[1],
    coding: Coding = BIT_PACKED,
    certificates: Path | None = None,
) -> AsyncIterator[tuple[Node, Stage, grpc.aio.Channel]]:
    """Slot 1 of three, serving; and a channel to it.  Slot 0 is the test; slot 2 is not there.

    With `certificates`, of a whole team, both talk TLS.
    """
    tls = [None if certificates is None else Tls(certificates / f"slot-{slot}") for slot in (0, 1)]
    world = Stage([Member(slot=0, peer_address="", bundle_digest=TEAM[0].digest)] if roster is None else roster, coding)
    node = Node(bundle, tls=tls[1], transport=_chosen[0])
    running = asyncio.create_task(node.run(world))
    _serving.append(node)
    try:
        await world.step(0, receives_from=())
        async with rpc.channel(
            node.peer_address, max_message_bytes=2**20, tls=tls[0], peer=Identity(slot=1)
        ) as channel:
            yield node, world, channel
    finally:
        _serving.remove(node)
        world.end()
        await asyncio.wait_for(running, DEADLINE_S)


def exchange(channel: grpc.aio.Channel, hello: bytes | None = HELLO.serialise()) -> grpc.aio.StreamStreamCall:
    return channel.stream_stream(PATH)(metadata=() if hello is None else ((HELLO_METADATA, hello),))


async def admitted(channel: grpc.aio.Channel, hello: Hello = HELLO) -> grpc.aio.StreamStreamCall:
    """A call that the node has answered, and whose stream it counts as up: only then do its steps wait for the peer.

    With grpcio the answer is here a little before the node hears that it was sent.
    """
    peers = _serving[-1]._peers
    assert peers is not None
    live = peers._streams.live
    before = live.get(hello.slot)
    call = exchange(channel, hello.serialise())
    answer = dict(await asyncio.wait_for(call.initial_metadata(), DEADLINE_S))
    assert Hello.parse(answer[HELLO_METADATA]).slot == 1
    await until(lambda: live.get(hello.slot) not in (None, before))
    return call


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until the condition holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0)
