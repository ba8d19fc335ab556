"""The inbox: what a step reads does not depend on when and how often messages came, and every wait ends."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_node.counters import CounterTable
from agent_node.inbox import EARLY_KEPT, MAX_AHEAD, SILENT_STEPS, Inbox, LatePolicy
from agent_node.message import Message
from heliograph.link_counters import LinkCounters

FAR_S = 30.0


def text(step: int, *, episode: int = 0, value: int = 0) -> Message:
    return Message(episode=episode, step=step, latent=np.array([value], dtype=np.int32), action=value)


def new_inbox(policy: LatePolicy = LatePolicy.MASK) -> tuple[Inbox, CounterTable]:
    counts = CounterTable()
    return Inbox(late_policy=policy, counts=counts), counts


def read(inbox: Inbox, step: int, receives_from: tuple[int, ...], *, episode: int = 0) -> dict[int, tuple[int, int]]:
    """Begin and close a step without waiting; by sender (label's step, content)."""
    inbox.begin(episode, step)
    closed = inbox.close(receives_from, awaited=receives_from)
    assert all(message.episode == episode for message in closed.messages.values())
    return {peer: (message.step, message.action) for peer, message in closed.messages.items()}


@given(st.data())
def test_order_duplicates_and_early_arrival_change_nothing(data: st.DataObject) -> None:
    sent = [(peer, text(step, value=10 * step + peer)) for peer in (1, 2, 4) for step in range(4)]
    twice = data.draw(st.lists(st.sampled_from(sent), max_size=6))
    arrivals = data.draw(st.permutations(sent + twice))
    # Arrivals that come before the step that reads them is closed: any split that is never late.
    due = [data.draw(st.integers(0, message.step + 1)) for _, message in arrivals]
    inbox, counts = new_inbox()
    for step in range(5):
        inbox.begin(0, step)
        for (peer, message), when in zip(arrivals, due, strict=True):
            if when == step:
                inbox.receive(peer, message, size_bytes=3)
        closed = inbox.close((1, 2) if step else (), awaited=())
        expected = {peer: 10 * (step - 1) + peer for peer in (1, 2)} if step else {}
        assert {peer: message.action for peer, message in closed.messages.items()} == expected
        assert closed.masked == ()
    for peer in (1, 2, 4):
        copies = sum(1 for other, _ in twice if other == peer)
        assert counts[peer].delivered == 4, "also of slot 4, which was not in hearing"
        assert counts[peer].delivered_bytes == 12
        assert counts[peer].rejected + counts[peer].late == copies


def test_what_comes_after_its_step_was_closed_is_late_and_its_sender_was_masked() -> None:
    inbox, counts = new_inbox()
    assert read(inbox, 1, (1, 2)) == {}
    inbox.receive(1, text(0))
    assert read(inbox, 2, (1, 2)) == {}
    assert counts[1] == LinkCounters(late=1, masked=2)
    assert counts[2] == LinkCounters(masked=2)


def test_messages_of_an_episodes_last_step_are_no_losses_whenever_they_come() -> None:
    inbox, counts = new_inbox()
    read(inbox, 0, ())
    read(inbox, 1, ())
    inbox.receive(1, text(1))
    assert read(inbox, 0, (), episode=1) == {}
    inbox.receive(2, text(1))
    assert counts[1] == LinkCounters(delivered=1)
    assert counts[2] == LinkCounters(delivered=1)
    inbox.receive(2, text(1))
    assert counts[2].rejected == 1, "a duplicate still is one"


def test_a_resumed_node_counts_the_backlog_as_late_and_reads_the_newest_step() -> None:
    inbox, counts = new_inbox()
    read(inbox, 3, ())
    for step in range(3, 10):
        inbox.receive(1, text(step, value=step))
    assert read(inbox, 10, (1,)) == {1: (9, 9)}
    assert counts[1] == LinkCounters(delivered=1, read=1, late=6)


def test_a_long_backlog_is_bounded_and_keeps_the_newest() -> None:
    inbox, counts = new_inbox()
    read(inbox, 0, ())
    for step in range(1000):
        inbox.receive(1, text(step, value=step))
    assert counts[1].late == 1000 - EARLY_KEPT
    assert read(inbox, 1000, (1,)) == {1: (999, 999)}
    assert counts[1].late == 999


@pytest.mark.parametrize(
    ("message", "verdict"),
    [
        (text(5), "late"),
        (text(6), "kept"),
        (text(7 + MAX_AHEAD), "kept"),
        (text(8 + MAX_AHEAD), "rejected"),
        (text(2**32 - 1), "rejected"),
        (text(0, episode=2**32 - 1), "rejected"),
        (text(0, episode=2 + MAX_AHEAD), "kept"),
        (text(0, episode=3 + MAX_AHEAD), "rejected"),
        (text(0, episode=3), "kept"),
        (text(MAX_AHEAD, episode=3), "kept"),
        (text(1 + MAX_AHEAD, episode=3), "rejected"),
        (text(2**32 - 1, episode=3), "rejected"),
        (text(9, episode=1), "late"),
    ],
)
def test_labels_are_judged_by_our_own_clock(message: Message, verdict: str) -> None:
    inbox, counts = new_inbox()
    inbox.begin(2, 7)
    inbox.receive(1, Message(episode=message.episode or 2, step=message.step, latent=message.latent, action=0))
    counted = {name: getattr(counts[1], name) for name in ("late", "rejected")}
    assert counted == {name: int(name == verdict) for name in counted}
    assert inbox.totals()[1].delivered == int(verdict == "kept")


def test_nonsense_from_before_the_first_step_is_rejected_by_it() -> None:
    inbox, counts = new_inbox()
    inbox.receive(1, text(2**32 - 1, episode=2**32 - 1))
    inbox.receive(1, text(4, value=7))
    assert read(inbox, 5, (1,)) == {1: (4, 7)}
    assert counts[1] == LinkCounters(delivered=1, read=1, rejected=1)


def test_hold_lets_the_last_known_message_of_the_episode_stand_in() -> None:
    inbox, counts = new_inbox(LatePolicy.HOLD)
    read(inbox, 0, ())
    inbox.receive(1, text(0, value=7))
    assert read(inbox, 1, (1, 2)) == {1: (0, 7)}
    assert read(inbox, 2, (1, 2)) == {1: (1, 7)}, "relabelled as if it were the missing one"
    inbox.receive(1, text(1, value=8))
    assert counts[1].late == 1
    assert read(inbox, 3, (1,)) == {1: (2, 8)}, "a late one is newer knowledge"
    inbox.receive(1, text(9, value=9))
    assert read(inbox, 4, (1,)) == {1: (3, 8)}, "an early one is not, its step is still to come"
    assert counts[1].masked == 0
    assert counts[2].masked == 2
    read(inbox, 0, (), episode=1)
    assert read(inbox, 1, (1,), episode=1) == {}, "nothing is held over from another episode"


@pytest.mark.parametrize(("policy", "ages"), [(LatePolicy.HOLD, (0, 0, 0)), (LatePolicy.PREDICT, (0, 1, 2))])
def test_whoever_predicts_is_told_how_old_the_last_known_message_is(policy: LatePolicy, ages: tuple[int, ...]) -> None:
    inbox, _ = new_inbox(policy)
    inbox.begin(0, 0)
    inbox.close((), awaited=())
    inbox.receive(1, text(0, value=7))
    found = []
    for step in (1, 2, 3):
        inbox.begin(0, step)
        found.append(inbox.close((1,), awaited=()).messages[1])
    assert tuple(message.age for message in found) == ages
    assert [message.step for message in found] == [0, 1, 2]
    inbox.receive(1, text(1, value=8))
    inbox.begin(0, 4)
    (late,) = inbox.close((1,), awaited=()).messages.values()
    assert (int(late.latent[0]), late.age) == (8, ages[2])


def test_waiting_ends_with_the_last_message_and_not_before() -> None:
    async def play() -> None:
        inbox, _ = new_inbox()
        inbox.begin(0, 1)
        waiting = asyncio.create_task(inbox.wait((1, 2), until=asyncio.get_running_loop().time() + FAR_S))
        await asyncio.sleep(0)
        for peer, message in ((1, text(0)), (3, text(0)), (2, text(1)), (1, text(0))):
            inbox.receive(peer, message)
            await asyncio.sleep(0)
            assert not waiting.done()
        inbox.receive(2, text(0))
        await waiting
        inbox.begin(0, 2)
        await inbox.wait((2,), until=asyncio.get_running_loop().time() + FAR_S)

    asyncio.run(asyncio.wait_for(play(), FAR_S / 2))


def test_waiting_ends_at_the_deadline_and_when_a_stream_is_lost() -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        inbox, _ = new_inbox()
        inbox.begin(0, 1)
        until = loop.time() + 0.05
        await inbox.wait((1,), until=until)
        assert loop.time() >= until - 0.01
        waiting = asyncio.create_task(inbox.wait((1, 2), until=loop.time() + FAR_S))
        await asyncio.sleep(0)
        inbox.give_up(1)
        inbox.receive(2, text(0))
        await waiting
        await inbox.wait((1,), until=loop.time() - 1)

    asyncio.run(asyncio.wait_for(play(), FAR_S / 2))


def test_each_wait_ends_at_its_own_deadline_whatever_the_one_before_had() -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        inbox, _ = new_inbox()
        for step, (deadline_s, comes) in enumerate(((FAR_S, True), (0.02, False), (0.02, True), (0.06, False)), 1):
            inbox.begin(0, step)
            until = loop.time() + deadline_s
            waiting = asyncio.create_task(inbox.wait((1,), until=until))
            await asyncio.sleep(0)
            if comes:
                inbox.receive(1, text(step - 1))
            await waiting
            assert comes or loop.time() >= until - 0.01, step
            inbox.close((1,), awaited=())

    asyncio.run(asyncio.wait_for(play(), FAR_S / 2))


def test_a_peer_is_silent_after_some_steps_in_a_row_and_speaks_again() -> None:
    inbox, _ = new_inbox()
    for step in range(1, SILENT_STEPS):
        read(inbox, step, (1,))
    assert 1 not in inbox.silent
    inbox.receive(1, text(0))
    for step in range(SILENT_STEPS, 2 * SILENT_STEPS):
        assert 1 not in inbox.silent, "late is not silent"
        read(inbox, step, (1,))
    assert 1 in inbox.silent
    inbox.begin(0, 20)
    inbox.close((1,), awaited=())
    inbox.receive(1, text(20))
    assert 1 not in inbox.silent
    for step in range(21, 21 + SILENT_STEPS + 1):
        read(inbox, step, (1,))
    assert 1 in inbox.silent
    inbox.received_again(1)
    assert 1 not in inbox.silent


def test_what_the_channel_lost_is_counted_once_whenever_it_comes_and_never_stands_in() -> None:
    inbox, counts = new_inbox(LatePolicy.HOLD)
    read(inbox, 0, ())
    inbox.receive(1, text(0, value=7))
    inbox.begin(0, 1, lost=(1, 2))
    closed = inbox.close((1, 2), awaited=())
    assert (closed.messages, closed.masked) == ({}, (1, 2))
    inbox.receive(2, text(0, value=8))
    inbox.receive(1, text(0, value=7))
    assert read(inbox, 2, (1, 2)) == {}
    assert counts[1] == LinkCounters(lost=1, rejected=1, masked=2), "the second copy is a duplicate"
    assert counts[2] == LinkCounters(lost=1, masked=2)


@pytest.mark.parametrize("before_its_step_closes", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_what_the_channel_delays_is_late_and_stands_in_from_the_step_that_delivers_it(
    before_its_step_closes: bool, steps: int
) -> None:
    inbox, counts = new_inbox(LatePolicy.HOLD)
    read(inbox, 0, ())
    inbox.receive(1, text(0, value=7))
    assert read(inbox, 1, (1,)) == {1: (0, 7)}
    message = text(1, value=8)
    if before_its_step_closes:
        inbox.receive(1, message)
    inbox.begin(0, 2, late={1: steps})
    assert {peer: found.action for peer, found in inbox.close((1,), awaited=()).messages.items()} == {1: 7}
    if not before_its_step_closes:
        inbox.receive(1, message)
    for step in range(3, 8):
        inbox.begin(0, step, lost=(1,))
        closed = inbox.close((1,), awaited=())
        assert closed.messages[1].action == (8 if step >= 2 + steps else 7), step
    assert counts[1] == LinkCounters(delivered=1, read=1, late=1)


def test_messages_that_overtake_one_another_leave_the_newest_to_stand_in() -> None:
    inbox, _ = new_inbox(LatePolicy.HOLD)
    read(inbox, 0, ())
    for step, late in ((1, 3), (2, 1)):
        inbox.receive(1, text(step - 1, value=step))
        inbox.begin(0, step, late={1: late})
        assert inbox.close((1,), awaited=()).messages == {}
    seen = []
    for step in (3, 4, 5):
        inbox.begin(0, step, lost=(1,))
        seen.append(inbox.close((1,), awaited=()).messages[1].action)
    assert seen == [2, 2, 2], "of step 1, delivered at 3; the older one comes at 4 and is no news"


def test_nothing_delayed_stands_in_for_a_message_of_another_episode() -> None:
    inbox, counts = new_inbox(LatePolicy.HOLD)
    read(inbox, 0, ())
    inbox.receive(1, text(0, value=7))
    inbox.begin(0, 1, late={1: 1})
    inbox.close((1,), awaited=())
    read(inbox, 0, (), episode=1)
    assert read(inbox, 1, (1,), episode=1) == {}
    assert counts[1] == LinkCounters(late=1, masked=2)


@pytest.mark.parametrize("policy", list(LatePolicy))
def test_the_channel_makes_nobody_silent_and_under_mask_nobody_waits_for_what_it_withholds(policy: LatePolicy) -> None:
    inbox, _ = new_inbox(policy)
    for step in range(1, 3 * SILENT_STEPS):
        inbox.begin(0, step, lost=(1,), late={2: 1})
        awaited = [peer for peer in (1, 2, 3) if inbox.is_worth_waiting_for(peer)]
        assert awaited == ([3] if policy is LatePolicy.MASK else [1, 2, 3])
        for peer in (1, 2, 3):
            inbox.receive(peer, text(step - 1))
        inbox.close((1, 2, 3), awaited=awaited)
        assert not inbox.silent


def test_a_label_that_cannot_be_does_not_tell_when_a_peer_spoke_last() -> None:
    inbox, counts = new_inbox(LatePolicy.HOLD)
    inbox.begin(0, 1)
    inbox.receive(1, text(0))
    inbox.receive(1, text(3, episode=2 * MAX_AHEAD))
    assert counts[1].rejected == 1
    inbox.begin(0, 3)
    assert inbox.steps_without(1) == 2
