"""Seats over real gRPC: a node that calls again takes its own, one of another run is told so; who may come instead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hand_set_deadline import HandSetDeadline
from plain_node import PlainNode
from relay_team import relay_bundles

from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.serving.slot_reservations import SlotReservations
from coordinator.world.world import View, World
from heliograph.environments import registry
from heliograph.errors import SettingsError
from heliograph.pb import coordination_pb2 as pb

BUNDLES = relay_bundles(2)
INSTANCE = "the same process"
DEADLINE_S = 0.1


def serve(check: Callable[[CoordinationServer], Awaitable[None]], **arguments: Any) -> None:
    async def run() -> None:
        server = CoordinationServer(BUNDLES, TeamSettings(run_seed=9, greedy=True, **arguments))
        async with asyncio.timeout(30), server:
            await check(server)

    asyncio.run(run())


def views() -> tuple[View | None, ...]:
    return World(registry.make("relay", count=1, parameters={})).reset(0)


async def until(server: CoordinationServer, predicate: Callable[[], bool]) -> None:
    assert await server.team.wait_until(predicate, timeout_s=10)


def test_a_node_that_calls_again_is_asked_again_what_it_owes_and_nobody_else_is_told() -> None:
    async def check(server: CoordinationServer) -> None:
        async with PlainNode(server.address, BUNDLES[1]) as other:
            async with PlainNode(server.address, BUNDLES[0], instance=INSTANCE) as first:
                assert (await first.read("welcome")).rejoin_ms == 60_000
                await other.read("welcome")  # who is not there yet is asked nothing
                await other.send(connected=pb.Connected(slots=[0]))
                server.team.ask(views(), episode=0, step=0, message_deadline_s=1.0)
                asked = await first.read("percept")
                await other.act(await other.read("percept"))
            HandSetDeadline(server.team, timeout_s=DEADLINE_S)  # which does not pass
            replies = asyncio.create_task(server.team.replies(timeout_s=DEADLINE_S))
            await until(server, lambda: server.team.cut_off == (0,))
            assert server.team.is_paused
            async with PlainNode(server.address, BUNDLES[0], instance=INSTANCE, resumes=server.run_id) as again:
                assert (await again.read("welcome")).run_id == server.run_id
                assert [member.slot for member in (await again.read("roster")).members] == [0, 1]
                agent_input = await again.read("percept")
                assert agent_input == asked
                await again.act(agent_input)
                assert sorted(await replies) == [0, 1]
                assert [(cut.slots, cut.back) for cut in server.team.cuts] == [((0,), (0,))]
                assert server.team.departures == {}
                assert server.team.roster.replaced == frozenset(), "its counters go on"

    serve(check)


def test_a_node_that_knows_of_a_cut_before_the_coordinator_does_takes_its_seat_over_a_new_call() -> None:
    async def check(server: CoordinationServer) -> None:
        async with PlainNode(server.address, BUNDLES[0], instance=INSTANCE) as first:
            await first.read("welcome")
            async with PlainNode(server.address, BUNDLES[0], instance=INSTANCE, resumes=server.run_id) as again:
                await again.read("welcome")
                # What still comes over the old call is of nobody, and ends it.
                await first.send(act=pb.Act(episode=7))
                assert (await first.status())[0] == "OK"
                assert server.team.live == (0,)
                async with PlainNode(server.address, BUNDLES[0], resumes=server.run_id) as thief:
                    assert (await thief.status())[0] == "ALREADY_EXISTS"

    serve(check)


def test_a_node_of_another_run_is_told_so_before_anybody_hears_of_it() -> None:
    async def check(server: CoordinationServer) -> None:
        async with PlainNode(server.address, BUNDLES[0], resumes="another") as node:
            status, sentence = await node.status()
        assert (status, f"this is run {server.run_id}, not another" in sentence) == ("ABORTED", True)
        assert server.team.seated == ()

    serve(check)


def test_a_seat_is_kept_for_the_grace_and_not_for_one_that_broke_the_protocol() -> None:
    async def check(server: CoordinationServer) -> None:
        async with PlainNode(server.address, BUNDLES[0]) as node:
            await node.read("welcome")
            await node.send(join=pb.Join())
            assert (await node.status())[0] == "INVALID_ARGUMENT"
        assert server.team.seated == ()
        async with PlainNode(server.address, BUNDLES[0]) as node:
            await node.read("welcome")
        await until(server, lambda: server.team.live == ())
        assert server.team.cut_off == (0,), "nobody is there who could tell that it is dead"

    async def outlast(server: CoordinationServer) -> None:
        async with PlainNode(server.address, BUNDLES[0]) as node:
            await node.read("welcome")
        await until(server, lambda: server.team.seated == ())
        assert not server.team.is_paused

    serve(check)
    serve(outlast, rejoin_s=0.3)


def test_whoever_is_started_anew_gets_a_free_slot_first_and_one_that_is_cut_off_last() -> None:
    async def check(server: CoordinationServer) -> None:
        reservations = SlotReservations(server.team)
        async with PlainNode(server.address, BUNDLES[0]) as node:
            await node.read("welcome")
        await until(server, lambda: server.team.cut_off == (0,))
        assert [reservations.promise(), reservations.promise()] == [1, 0]
        async with PlainNode(server.address, BUNDLES[0]) as successor:
            await successor.read("welcome")
            assert server.team.live == (0,)
            assert server.team.departures == {0: 1}

    serve(check)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_grace_that_nobody_can_keep_is_refused(seconds: float) -> None:
    with pytest.raises(SettingsError, match="look for the others"):
        TeamSettings(run_seed=0, greedy=True, rejoin_s=seconds)
