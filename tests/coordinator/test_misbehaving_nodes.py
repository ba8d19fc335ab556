"""Whole runs with a node that leaves, doubles or babbles at the wrong moment: the others play on, the books tell it."""

import asyncio
import logging
from contextlib import AsyncExitStack

import grpc
import grpc.aio
import pytest
from plain_node import PlainNode
from relay_team import relay_plan
from reserved_ports import reserved_address

from coordinator.plan.pace import Pace
from coordinator.running.distributed import run
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.report import remarks
from coordinator.serving import team as team_module
from heliograph.pb import coordination_pb2 as pb

LENGTH, EPISODES = 5, 2
STEPS = LENGTH * EPISODES
PLAN = relay_plan(
    2,
    length=LENGTH,
    episodes=EPISODES,
    conditions=("open", "cut"),
    # Nobody is waited for so long: the test would end before.
    pace=Pace(action_deadline_s=600, message_deadline_s=0.1),
)
CUT_BEGINS = EPISODES
"""The number of the second pass's first episode."""


def play(misbehave, plan=PLAN):
    """The report of a run of two nodes, of which the second is driven by `misbehave(node, address, others_act)`.

    The first one acts while the event `others_act` is set, as it is in the beginning.
    """

    async def through(address):
        others_act = asyncio.Event()
        others_act.set()
        staging = LaunchSettings(listen=address, spawn=False, connect_timeout_s=0.1)
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            whole = asyncio.create_task(run(plan, staging, stop=asyncio.Event()))
            nodes = [await stack.enter_async_context(PlainNode(address, bundle)) for bundle in plan.bundles]
            scripts = follow(nodes[0], acts=others_act), misbehave(nodes[1], address, others_act)
            report, *_ = await asyncio.gather(whole, *scripts)
            return report

    with reserved_address() as address:
        return asyncio.run(through(address))


async def follow(node, *, to_the=None, acts=None):
    """Do what a node does, to the end of the run, or to a message of which `to_the` is true, which is returned."""
    while message := await node.call.read():
        if to_the is not None and to_the(message):
            return message
        kind = message.WhichOneof("kind")
        if kind == "percept":
            if acts is not None:
                await acts.wait()
            await node.act(message.percept)
        elif kind == "counters_request":
            await node.send(counters=pb.Counters())
        elif kind == "shutdown":
            await node.call.done_writing()
    return None


def agent_input_of(episode, step):
    return lambda message: (
        message.WhichOneof("kind") == "percept" and (message.percept.episode, message.percept.step) == (episode, step)
    )


def idle_of(report):
    return [summary.idle for summary in report.summaries]


def counters_asked(message):
    return message.WhichOneof("kind") == "counters_request"


def test_a_node_that_leaves_before_its_counters_were_read_leaves_links_unknown_and_the_next_pass_to_the_others():
    async def leave(node, *_):
        await follow(node, to_the=counters_asked)
        node.call.cancel()

    report = play(leave)
    assert idle_of(report) == [0, STEPS]
    assert [summary.episodes for summary in report.summaries] == [EPISODES, EPISODES]
    assert [summary.missing for summary in report.summaries] == [None, None]
    assert "Losses unknown on 2 of 2 links" in "\n".join(remarks(report))


def test_a_node_that_leaves_between_passes_is_missed_from_the_next_percept_on():
    async def leave(node, *_):
        # Not before that: of a node that left while others still told their counters nothing is known.
        await follow(node, to_the=agent_input_of(CUT_BEGINS, 0))
        await node.call.done_writing()

    report = play(leave)
    assert idle_of(report) == [0, STEPS]
    assert [summary.missing for summary in report.summaries] == [0, None]


def test_a_node_that_leaves_between_percept_and_act_idles_from_there_on():
    async def leave(node, *_):
        await follow(node, to_the=agent_input_of(1, 2))
        await node.call.done_writing()

    report = play(leave)
    assert idle_of(report) == [LENGTH - 2, STEPS]


def test_a_node_that_never_tells_its_counters_is_left_out_of_the_books_and_plays_on(monkeypatch):
    monkeypatch.setattr(team_module, "COUNTERS_DEADLINE_S", 0.2)

    async def keep_silent(node, *_):
        while await follow(node, to_the=counters_asked):
            pass

    report = play(keep_silent)
    assert idle_of(report) == [0, 0]
    assert [summary.missing for summary in report.summaries] == [None, None]


@pytest.mark.parametrize("wrong", [{"step": 1}, {"episode": 0}, {"episode": 7, "step": 40}])
def test_an_act_for_another_step_or_episode_ends_the_session_with_what_was_owed(wrong):
    """Of a node that answers another step nobody knows whether it would ever answer this one."""

    async def answer_another(node, *_):
        message = await follow(node, to_the=agent_input_of(1, 3))
        await node.act(message.percept, **wrong)
        status, sentence = await node.status()
        assert status == "INVALID_ARGUMENT"
        answered = {"episode": 1, "step": 3} | wrong
        assert (
            f"an act for episode {answered['episode']} step {answered['step']}, but owes one for episode 1 step 3"
            in (sentence)
        )

    report = play(answer_another)
    assert idle_of(report) == [LENGTH - 3, STEPS]
    assert report.stale_acts == 0


def test_a_second_act_for_a_step_ends_the_session():
    async def act_twice(node, *_):
        message = await follow(node, to_the=agent_input_of(CUT_BEGINS, LENGTH - 1))
        await node.act(message.percept)
        await node.act(message.percept)
        status, sentence = await node.status()
        assert status == "INVALID_ARGUMENT"
        assert "but owes" in sentence

    report = play(act_twice)
    assert idle_of(report)[0] == 0
    assert LENGTH <= idle_of(report)[1] <= LENGTH + 1, "the act itself counts, the last episode goes on without it"


def test_a_process_that_joins_twice_has_its_second_session_refused_and_plays_on_in_the_first():
    async def join_again(node, address, _):
        message = await follow(node, to_the=agent_input_of(0, 2))
        instance = node.join_message.join.instance
        async with PlainNode(address, PLAN.bundles[1], instance=instance) as twin:
            status, sentence = await twin.status()
            assert status == "ALREADY_EXISTS"
            assert "slot 1 is held by a live node" in sentence
        await node.act(message.percept)
        await follow(node)

    report = play(join_again)
    assert idle_of(report) == [0, 0]
    assert [summary.missing for summary in report.summaries] == [0, 0]


def told(caplog, beginning):
    """The lines of the log, at the level that is the default, which begin like that; up to their third word."""
    lines = (record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    return [" ".join(line.split()[:3]) for line in lines if line.startswith(beginning)]


def test_a_process_that_leaves_and_joins_again_plays_on_and_its_links_count_as_unknown(caplog):
    """The same instance has begun to count anew, and nobody can tell."""

    async def come_back(node, address, others_act):
        await follow(node, to_the=agent_input_of(0, 2))
        others_act.clear()  # so that the step after this one lasts until it is back
        node.call.cancel()
        while not await came_back(address, node.join_message.join.instance, others_act):
            pass  # the end of its first call is still on its way

    async def came_back(address, instance, others_act):
        async with PlainNode(address, PLAN.bundles[1], instance=instance) as again:
            try:
                await again.read("welcome")
            except grpc.aio.AioRpcError as refused:
                if refused.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise
                return False
            others_act.set()
            await follow(again)
            return True

    report = play(come_back)
    first, second = idle_of(report)
    assert first in (1, 2)
    assert second == 0
    assert [summary.missing for summary in report.summaries] == [None, None]
    assert told(caplog, "node left") == ["node left slot=1"]
    assert told(caplog, "node joined") == ["node joined slot=1"]
    assert report.as_dict()["departures"] == {1: 1}
    assert "Nodes that left during the run, and were masked until they were back: 1 (1 x)" in remarks(report)


def test_nodes_that_leave_when_they_are_told_to_are_no_news(caplog):
    report = play(lambda node, *_: follow(node))
    assert report.departures == {}
    assert told(caplog, "node") == []
