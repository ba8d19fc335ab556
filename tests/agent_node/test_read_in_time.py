"""A node over the lean transport reads in time what a step needs, although its connections rest between steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from peer_stage import HELLO, TEAM, Stage, node_of_slot_1, until
from resting_lean import PEER, rest_for_ever, said

from agent_node.node import Node
from agent_node.transport.lean.call import LeanCall
from agent_node.transport.lean.client import LeanLine
from heliograph.bundle import Bundle, make
from heliograph.manifest import SENDING_VERSION
from heliograph.sending import Sending


@pytest.fixture(autouse=True)
def _resting(monkeypatch: pytest.MonkeyPatch) -> None:
    rest_for_ever(monkeypatch)


def play(script: Callable[[Node, Stage, LeanCall], Awaitable[None]], bundle: Bundle = TEAM[1]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), node_of_slot_1(bundle=bundle) as (node, world, _):
            call = await LeanLine(node.peer_address, tls=None, peer=PEER).call(HELLO.serialise())
            await world.until(lambda: world.peers == (0,))
            await script(node, world, call)
            call.cancel()

    asyncio.run(run())


@pytest.mark.parametrize(("before", "counted"), [(said(0), "late"), (b"nothing", "rejected")])
def test_what_comes_before_an_awaited_message_does_not_hold_it_up(before: bytes, counted: str) -> None:
    async def script(node: Node, world: Stage, call: LeanCall) -> None:
        assert (await world.step(1, deadline_s=0.0)).masked == (0,)
        for step in (2, 3, 4):
            stepped = asyncio.ensure_future(world.step(step))
            await until(lambda: node._inbox is not None and node._inbox.awaits(0))
            if step == 2:
                call.send(before)
                await until(lambda: getattr(node.counts[0], counted) == 1)
            call.send(said(step - 1))
            assert (await stepped).masked == ()

    play(script)


def test_a_connection_rests_once_both_sides_have_spoken_at_a_step_and_until_the_next() -> None:
    async def script(node: Node, world: Stage, call: LeanCall) -> None:
        assert node._peers is not None
        transport = node._peers._streams.live[0].call._link.transport  # type: ignore[attr-defined]
        await world.step(1, deadline_s=0.0)
        for step in (2, 3, 4):
            assert transport.is_reading()
            call.send(said(step - 1))
            await until(lambda: not transport.is_reading())
            await world.step(step)

    play(script)


def withholding(bundle: Bundle) -> Bundle:
    """It withholds whatever changes, from its second message on."""
    sending = Sending(heartbeat=1000, changes=4)
    manifest = replace(bundle.manifest, format_version=SENDING_VERSION, sending=sending)
    return make(manifest, bundle.graph, bundle.tables)


def test_a_message_of_the_step_at_which_this_side_spoke_last_does_not_hold_up_an_awaited_one() -> None:
    async def script(node: Node, world: Stage, call: LeanCall) -> None:
        await world.step(1, deadline_s=0.0)
        stepped = asyncio.ensure_future(world.step(2))
        await until(lambda: node._inbox is not None and node._inbox.awaits(0))
        call.send(said(0))
        await until(lambda: node.counts[0].late == 1)
        call.send(said(1))
        await stepped
        assert node.counts[0].read == 1

    play(script, withholding(TEAM[1]))


def test_what_comes_while_this_side_withholds_is_there_when_the_next_step_begins() -> None:
    async def script(node: Node, world: Stage, call: LeanCall) -> None:
        stepped = asyncio.ensure_future(world.step(1))
        await until(lambda: node._inbox is not None and node._inbox.awaits(0))
        call.send(said(0))
        await stepped
        for step in (2, 3, 4):
            call.send(said(step - 1))
            call.send(b"nothing")
            await until(lambda read=step - 1: node.counts[0].rejected == read)  # type: ignore[misc]
            await world.step(step, deadline_s=0.0)
            assert node.counts[0].read == step

    play(script, withholding(TEAM[1]))
