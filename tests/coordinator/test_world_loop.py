"""The world loop against nodes that a test plays line by line: deadlines, silence, departures, returns."""

import asyncio
from contextlib import AsyncExitStack
from types import SimpleNamespace

import numpy as np
import pytest
from hand_set_deadline import HandSetDeadline
from plain_node import PlainNode
from relay_team import relay_bundles

from coordinator.plan import clock as clock_module
from coordinator.plan.clock import Clock
from coordinator.plan.pace import Pace
from coordinator.running.episode import run_episode
from coordinator.serving import team as team_module
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.world.world import World
from heliograph.environments import registry
from heliograph.errors import NodeFailed, SettingsError
from heliograph.pb import coordination_pb2 as pb

LENGTH = 5
BUNDLES = relay_bundles(2, length=LENGTH)
PACE = Pace(action_deadline_s=0.3, message_deadline_s=0.1)


def stage(script, **arguments):
    """Play one episode while `script(server, nodes, deadline)` drives two nodes; return result, records, stale acts.

    No deadline of an act passes unless the script says so: who waited in vain would do so for ever.
    """

    async def run():
        records = []
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            server = CoordinationServer(BUNDLES, TeamSettings(run_seed=0, greedy=True, **arguments))
            await stack.enter_async_context(server)
            nodes = [await stack.enter_async_context(PlainNode(server.address, bundle)) for bundle in BUNDLES]
            await server.team.wait_for_all(timeout_s=10)
            deadline = HandSetDeadline(server.team, timeout_s=PACE.action_deadline_s)
            world = World(registry.make("relay", count=1, parameters={"length": LENGTH}))
            episode = asyncio.create_task(
                run_episode(
                    server.team, world, episode=4, seed=11, pace=PACE, clock=Clock(None), observe=records.append
                )
            )
            await script(server, nodes, deadline)
            return await episode, records, server.team.stale_acts

    return asyncio.run(run())


async def answer(node, steps):
    for _ in range(steps):
        await node.act(await node.read("percept"))


def test_every_percept_is_the_agents_own_view():
    seen = []

    async def script(server, nodes, _):
        async def keep(node):
            for _ in range(LENGTH):
                agent_input = await node.read("percept")
                seen.append((node.slot, agent_input))
                await node.act(agent_input)

        await asyncio.gather(*(keep(node) for node in nodes))

    result, records, _ = stage(script)
    assert (result.episode, result.steps, result.idle, result.masked) == (4, LENGTH, 0, 0)
    assert result.hearable == 2 * (LENGTH - 1)
    for slot, agent_input in seen:
        record = records[agent_input.step]
        assert agent_input.episode == 4
        assert agent_input.first == (agent_input.step == 0)
        assert np.array_equal(np.frombuffer(agent_input.observation, "<f4"), record.observation[slot])
        assert np.array_equal(np.frombuffer(agent_input.action_mask, np.uint8), record.action_mask[slot])
        assert list(agent_input.hears) == list(agent_input.heard_by) == [1 - slot]
        assert agent_input.message_deadline_us == 100_000


def test_a_silent_node_gets_the_idle_action_and_is_waited_for_once():
    async def script(server, nodes, deadline):
        silent = await nodes[1].read("percept")
        deadline.passes_once_after([0])
        await answer(nodes[0], LENGTH - 1)
        last = await nodes[0].read("percept")
        await nodes[1].act(silent)
        assert await server.team.wait_until(lambda: server.team.unresponsive == (), timeout_s=10)
        await nodes[0].act(last)

    result, records, stale = stage(script)
    assert result.idle == LENGTH, "it answered only the first agent input, and that too late"
    assert stale == 1
    assert [bool(record.acted[1]) for record in records] == [False] * LENGTH
    assert all(record.acted[0] for record in records)


def test_a_node_that_answers_late_comes_back_as_if_it_had_just_begun():
    async def script(server, nodes, deadline):
        late = await nodes[1].read("percept")
        deadline.passes_once_after([0])
        await answer(nodes[0], 1)
        held = await nodes[0].read("percept")  # step 1: node 1 has missed step 0
        assert held.step == 1
        await nodes[1].act(late)
        assert await server.team.wait_until(lambda: server.team.unresponsive == (), timeout_s=10)
        await nodes[0].act(held)
        back = await nodes[1].read("percept")
        assert (back.step, back.first) == (2, True), "step 1 passed without it"
        await nodes[1].act(back)
        await asyncio.gather(answer(nodes[0], LENGTH - 2), go_on(nodes[1]))

    async def go_on(node):
        for _ in range(LENGTH - 3):
            agent_input = await node.read("percept")
            assert not agent_input.first
            await node.act(agent_input)

    result, _, stale = stage(script)
    assert result.idle == 2
    assert stale == 1


def test_where_nobody_answered_in_time_the_first_answer_gives_the_others_their_time_anew(monkeypatch):
    monkeypatch.setattr(team_module, "SILENCE_S", 600.0)

    async def script(server, nodes, deadline):
        team, wait_until, waits = server.team, server.team.wait_until, []

        async def waited(predicate, *, timeout_s):
            waits.append(timeout_s)
            return await wait_until(predicate, timeout_s=timeout_s)

        team.wait_until = waited
        first, other = [await node.read("percept") for node in nodes]
        deadline.passes_once_after([])
        assert await wait_until(lambda: team.is_held, timeout_s=10)
        await nodes[0].act(first)
        # A wait for acts: for the other one's, or, if that had been given up, for those of the next step.
        assert await wait_until(lambda: PACE.action_deadline_s in waits, timeout_s=10)
        await nodes[1].act(other)
        await asyncio.gather(*(answer(node, LENGTH - 1) for node in nodes))

    result, _, stale = stage(script)
    assert (result.idle, stale) == (0, 0)


def test_a_node_that_leaves_is_not_waited_for():
    async def script(server, nodes, _):
        await nodes[1].read("percept")
        nodes[1].call.cancel()
        await answer(nodes[0], LENGTH)

    result, _, _ = stage(script)
    assert result.idle == LENGTH


def test_a_node_that_joins_in_the_middle_starts_at_the_next_step_with_first_for_itself_alone():
    async def script(server, nodes, _):
        nodes[1].call.cancel()
        assert await server.team.wait_until(lambda: server.team.live == (0,), timeout_s=10)
        agent_input = await nodes[0].read("percept")
        while agent_input.step < 2:
            await nodes[0].act(agent_input)
            agent_input = await nodes[0].read("percept")
        async with PlainNode(server.address, BUNDLES[1]) as successor:
            await successor.read("roster")
            await nodes[0].act(agent_input)
            joined = await successor.read("percept")
            assert joined.step == 3
            assert joined.first
            other = await nodes[0].read("percept")
            assert not other.first
            await nodes[0].act(other)
            await successor.act(joined)
            await asyncio.gather(answer(nodes[0], 1), answer(successor, 1))

    result, records, _ = stage(script)
    assert [bool(record.acted[1]) for record in records][-2:] == [True, True]
    assert 2 <= result.idle <= 3


def test_an_illegal_action_is_replaced_and_counted():
    async def script(server, nodes, _):
        await asyncio.gather(answer(nodes[0], LENGTH), illegal(nodes[1]))

    async def illegal(node):
        for _ in range(LENGTH):
            agent_input = await node.read("percept")
            await node.act(agent_input, action=77)

    result, records, _ = stage(script)
    assert (result.illegal, result.idle) == (LENGTH, 0)
    assert all(record.action[1] == 0 for record in records)


def test_the_run_ends_when_every_node_is_gone():
    async def script(server, nodes, deadline):
        for node in nodes:
            await node.read("percept")
            node.call.cancel()
        assert await server.team.wait_until(lambda: server.team.live == (), timeout_s=10)
        deadline.passes_once_after([])  # and that is when somebody was waited for at all

    with pytest.raises(NodeFailed, match=r"is gone in episode 4 at step 0, and none came back within 0\.2 s"):
        stage(script, rejoin_s=0.2)


def test_counters_are_reconciled_once_messages_have_arrived_however_long_the_first_answers_took(monkeypatch, caplog):
    time = HandSetTime()
    loop = SimpleNamespace(time=time.monotonic)
    monkeypatch.setattr(team_module, "asyncio", SimpleNamespace(get_running_loop=lambda: loop, sleep=asyncio.sleep))

    async def run():
        async with asyncio.timeout(30), AsyncExitStack() as stack:
            server = CoordinationServer(BUNDLES, TeamSettings(run_seed=0, greedy=True))
            await stack.enter_async_context(server)
            nodes = [await stack.enter_async_context(PlainNode(server.address, bundle)) for bundle in BUNDLES]
            await server.team.wait_for_all(timeout_s=10)

            async def report(node, *totals):
                for links in totals:
                    await node.read("counters_request")
                    await time.sleep(2 * team_module.SETTLE_DEADLINE_S)  # it has much to flush
                    await node.send(counters=pb.Counters(links=[pb.LinkCounters(peer=1 - node.slot, **links)]))

            reading, *_ = await asyncio.gather(
                server.team.reading(),
                report(nodes[0], {"sent": 3, "delivered": 2}, {"sent": 3, "delivered": 2}),
                report(nodes[1], {"sent": 2, "delivered": 2}, {"sent": 2, "delivered": 3}),
            )
            assert [link.missing for link in reading.links] == [0, 0]

            reading, *_ = await asyncio.gather(
                server.team.reading(), report(nodes[0], {"sent": 2}), report(nodes[1], {"delivered": 3})
            )
            assert [link.missing for link in reading.links] == [None, 0]
            assert "2 messages sent, but 3 received" in reading.disputes[0, 1]
            assert "counts disagree sender=0 receiver=1" in caplog.text

    asyncio.run(run())


class HandSetTime:
    """The time and the sleep of a process whose steps take what a test says."""

    now_s = 1000.0

    def monotonic(self):
        return self.now_s

    async def sleep(self, pause_s):
        self.now_s += pause_s


def test_steps_start_on_a_grid_and_skip_what_they_miss(monkeypatch):
    time = HandSetTime()
    monkeypatch.setattr(clock_module, "time", time)
    monkeypatch.setattr(clock_module.asyncio, "sleep", time.sleep)

    async def run():
        clock, starts = Clock(0.2), []
        for busy_s in (0.0, 0.19, 0.48, 0.01):
            await clock.tick()
            starts.append((time.now_s - 1000.0) / 0.2)
            time.now_s += busy_s
        await clock.tick()
        return [*starts, (time.now_s - 1000.0) / 0.2]

    # A step of 2.4 periods skips to the third grid point after it.
    assert asyncio.run(run()) == pytest.approx([0, 1, 2, 5, 6])


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"action_deadline_s": 0.0}, "action_deadline_s must be more than 0 s"),
        ({"period_s": float("nan")}, "period_s must be more than 0 s"),
        ({"message_deadline_s": 5.0}, "must be shorter than"),
    ],
)
def test_a_pace_that_cannot_be_is_refused(fields, part):
    with pytest.raises(SettingsError, match=part):
        Pace(**fields)
