"""Bad days of a team of real processes: a node killed, stopped or cut off from one peer.  The others go on."""

import asyncio
import signal
from contextlib import AsyncExitStack

import numpy as np
import pytest
from changing_pace import ChangingPace
from hand_set_deadline import HandSetDeadline
from process_stage import Stage
from relay_team import PATIENT, relay_bundles
from tcp_detour import TcpDetour

from coordinator.channel import Channel
from coordinator.plan.pace import Pace

pytestmark = pytest.mark.usefixtures("warm_teams")

LENGTH = 30
BUNDLES = relay_bundles(3, length=LENGTH)
BRISK = Pace(action_deadline_s=PATIENT.action_deadline_s, message_deadline_s=0.5)
"""While a node stands still: its messages are waited for three times."""


TEAMS = {"grpcio": ("grpcio", "grpcio", "grpcio"), "mixed": ("lean", "grpcio", "lean")}
"""Transports by slot; in a mixed team lean nodes talk to one another, dial the other and are dialled by it."""


@pytest.fixture(params=TEAMS)
def options(request):
    return lambda slot: ("--transport", TEAMS[request.param][slot])


def others(slot: int) -> list[int]:
    return [other for other in range(3) if other != slot]


def test_a_killed_node_is_masked_and_its_successor_is_heard_again(tmp_path, options):
    async def play():
        async with asyncio.timeout(120), Stage(BUNDLES, tmp_path, options=options) as stage:

            async def script(step):
                if step == 8:
                    await stage.kill(1)
                    await stage.until(lambda: stage.team.live == (0, 2), "node 1 is gone")
                if step == 14:
                    assert [ending.exit_code for ending in stage.supervisor.ended()] == [-signal.SIGKILL]
                    stage.supervisor.start(1)
                    await stage.until(lambda: stage.team.live == (0, 1, 2), "node 1 is back")
                    await stage.all_connected()

            result, records = await stage.play(script=script)
            return result, records, await stage.team.reading()

    result, records, reading = asyncio.run(play())
    acted = [bool(record.acted[1]) for record in records]
    assert acted == [not 8 <= step < 14 for step in range(LENGTH)]
    assert all(record.acted[0] and record.acted[2] for record in records)
    for slot in others(1):
        # Its message of step 7 may have left before it died; those of 8..13 were never made.
        assert all(records[step].masked[slot, 1] for step in range(9, 15))
        assert not any(records[step].masked[slot, 1] for step in range(15, LENGTH)), "heard again at once"
    assert not any(record.masked[0, 2] or record.masked[2, 0] for record in records)
    assert result.idle == 6
    waits = [step for step in range(LENGTH) if result.latency_s[step] >= PATIENT.message_deadline_s]
    assert waits in ([], [14]), "nobody waited for the dead, at most for what the successor had no chance to say"
    assert max(result.latency_s) < PATIENT.action_deadline_s
    unknown = {(link.sender, link.receiver) for link in reading.links if link.missing is None}
    assert unknown == {(0, 1), (1, 0), (2, 1), (1, 2)}
    assert all(link.missing == 0 for link in reading.links if link.missing is not None)


def test_a_node_restarted_under_a_lossy_channel_is_heard_again_as_often_as_the_channel_lets_it(tmp_path):
    async def play():
        async with asyncio.timeout(120), Stage(BUNDLES, tmp_path) as stage:

            async def script(step):
                if step == 8:
                    await stage.kill(1)
                    await stage.until(lambda: stage.team.live == (0, 2), "node 1 is gone")
                    await asyncio.to_thread(stage.supervisor.process(1).wait, 15)
                    stage.supervisor.start(1)
                    await stage.until(lambda: stage.team.live == (0, 1, 2), "node 1 is back")
                    await stage.all_connected()

            lossy = Channel.parse("erasure=0.5,delay-ms=80,jitter-ms=60")
            result, records = await stage.play(script=script, channel=lossy)
            return result, records, await stage.team.reading()

    result, records, reading = asyncio.run(play())
    assert result.idle == 0
    assert max(result.latency_s) < PATIENT.message_deadline_s
    withheld = np.array([record.lost | (record.delay > 0) for record in records])
    masked = np.array([record.masked for record in records])
    assert np.array_equal(masked[9:], withheld[9:]), "only the channel keeps messages away, and nobody counts as silent"
    assert 0.3 < masked[9:, 0, 1].mean() < 0.95
    known = [link for link in reading.links if link.missing is not None]
    assert {(link.sender, link.receiver, link.missing) for link in known} == {(0, 2, 0), (2, 0, 0)}
    assert all(link.lost > 0 and link.late > 0 for link in known)


def test_a_stopped_node_is_masked_and_comes_back_when_it_resumes(tmp_path, options):
    async def play():
        async with asyncio.timeout(120), Stage(BUNDLES, tmp_path, options=options) as stage:

            async def script(step):
                if step == 6:
                    pace.change(BRISK)
                    stage.send_signal(2, signal.SIGSTOP)
                    deadline.passes_once_after(others(2))
                if step == 14:
                    assert stage.team.unresponsive == (2,)
                    stage.send_signal(2, signal.SIGCONT)
                    await stage.until(lambda: stage.team.unresponsive == (), "node 2 answers again")
                    pace.change(PATIENT)

            pace = ChangingPace(PATIENT)
            deadline = HandSetDeadline(stage.team, timeout_s=PATIENT.action_deadline_s)
            result, records = await stage.play(script=script, pace=pace)
            return result, records, await stage.team.reading()

    result, records, reading = asyncio.run(play())
    assert [bool(record.acted[2]) for record in records] == [not 6 <= step < 14 for step in range(LENGTH)]
    assert result.idle == 8
    for slot in others(2):
        # What it said at step 5 was out before it was stopped, or is among what it sends on waking.
        assert all(records[step].masked[slot, 2] for step in range(7, 14))
        assert not any(records[step].masked[slot, 2] for step in range(17, LENGTH)), "heard again within three steps"
    silent = [records[step] for step in range(11, 14)]
    assert all(record.acted[0] and record.acted[1] for record in silent)
    assert min(result.latency_s[10:14]) < BRISK.message_deadline_s, "nobody waits for a silent peer"
    assert all(link.missing is not None for link in reading.links), "it never died, so nothing is unknown"


def test_a_node_stopped_for_longer_than_the_keepalive_is_given_up_and_takes_its_slot_again(tmp_path, options):
    async def play():
        async with asyncio.timeout(120), Stage(BUNDLES, tmp_path, options=options) as stage:

            async def script(step):
                if step == 3:
                    pace.change(BRISK)
                    stage.send_signal(2, signal.SIGSTOP)
                    deadline.passes_once_after(others(2))
                if step == 5:
                    # Its peers do not hear it either, so it is not waited for.
                    await stage.until(lambda: stage.team.live == stage.team.seated == (0, 1), "node 2 is given up")
                if step == 7:
                    stage.send_signal(2, signal.SIGCONT)
                    await stage.until(lambda: stage.team.live == (0, 1, 2), "the same process is back")
                    await stage.all_connected()
                    pace.change(PATIENT)

            pace = ChangingPace(PATIENT)
            deadline = HandSetDeadline(stage.team, timeout_s=PATIENT.action_deadline_s)
            return (await stage.play(script=script, pace=pace))[1], await stage.team.reading()

    records, reading = asyncio.run(play())
    assert [bool(record.acted[2]) for record in records] == [not 3 <= step < 7 for step in range(LENGTH)]
    assert not records[-1].masked.any()
    assert all(link.missing is not None for link in reading.links), "its counters went on"


def test_a_partition_of_one_pair_masks_that_pair_alone_until_it_heals(tmp_path, options):
    detour = TcpDetour()

    async def play():
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            await stack.enter_async_context(detour)
            stage = await stack.enter_async_context(Stage(BUNDLES, tmp_path, options=options, detours={(0, 1): detour}))

            async def script(step):
                if step == 8:
                    detour.sever()
                    await stage.until(lambda: stage.team.missing_links() == [(0, 1)], "the link is gone")
                if step == 16:
                    detour.heal()
                    await stage.all_connected()

            result, records = await stage.play(script=script)
            return result, records, await stage.team.reading()

    result, records, reading = asyncio.run(play())
    assert result.idle == 0, "everybody kept acting in time"
    pair = np.zeros((3, 3), dtype=bool)
    pair[0, 1] = pair[1, 0] = True
    for step, record in enumerate(records):
        if 9 <= step < 16:
            assert np.array_equal(record.masked, pair)
        elif step < 8 or step > 18:
            assert not record.masked.any()
        else:
            assert not (record.masked & ~pair).any()
    assert max(result.latency_s) < PATIENT.message_deadline_s
    assert all(link.missing == 0 for link in reading.links if {link.sender, link.receiver} != {0, 1})
    assert all(link.missing is not None and link.missing >= 0 for link in reading.links)


@pytest.mark.parametrize("late_policy", ["mask", "hold"])
def test_a_team_starts_without_a_link_that_never_comes_up(tmp_path, late_policy):
    detour = TcpDetour()
    detour.sever()

    async def play():
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            await stack.enter_async_context(detour)
            stage = Stage(BUNDLES, tmp_path, late_policy=late_policy, missing=[(0, 2)], detours={(0, 2): detour})
            await stack.enter_async_context(stage)
            return await stage.play()

    result, records = asyncio.run(play())
    assert result.masked == 2 * (LENGTH - 1)
    assert all(record.masked[0, 2] and record.masked[2, 0] for record in records[1:])
    assert not any(record.masked[1].any() for record in records)


def test_nodes_leave_with_code_0_when_the_run_is_over(tmp_path, options):
    async def play():
        async with asyncio.timeout(60):
            async with Stage(BUNDLES, tmp_path, options=options) as stage:
                await stage.play()
            return stage.exit_codes

    assert asyncio.run(play()) == {0: 0, 1: 0, 2: 0}
