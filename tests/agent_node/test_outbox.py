"""The outbox: each listener gets a message once, and only while it is the newest."""

from __future__ import annotations

import numpy as np

from agent_node.counters import CounterTable
from agent_node.message import Message
from agent_node.outbox import Outbox
from agent_node.wire import MessageWire, Outgoing, Written
from heliograph.actions import DiscreteActions
from heliograph.codecs.message_format import MessageFormat
from heliograph.link_counters import LinkCounters

WIRE = MessageWire(MessageFormat(categoricals=4, classes=8), actions=DiscreteActions(count=5))


def said(step: int) -> Message:
    return Message(episode=0, step=step, latent=np.full(4, step, dtype=np.int32), action=1)


def test_each_listener_of_either_step_gets_the_message_once() -> None:
    sent: list[tuple[int, int]] = []
    up, silent, counts = {1, 2, 3}, {3}, CounterTable()

    def send(peer: int, message: Outgoing) -> Written | None:
        if peer not in up:
            return None
        sent.append((peer, message.message.step))
        return message.written(None)

    outbox = Outbox(wire=WIRE, send=send, is_silent=silent.__contains__, counts=counts)
    outbox.catch_up(0, 0, sends_to=(1, 2))
    assert sent == [], "nothing was said yet"
    outbox.push(said(0), sends_to=(1, 3, 4))
    assert sent == [(1, 0)], "not to the silent, not without a stream"
    up.add(4)
    outbox.catch_up(0, 1, sends_to=(1, 2, 4))
    assert sent[1:] == [(2, 0), (4, 0)]
    outbox.push(said(1), sends_to=())
    outbox.catch_up(0, 3, sends_to=(1,))
    outbox.catch_up(1, 0, sends_to=(1,))
    assert len(sent) == 3, "no step reads an old message"
    once = LinkCounters(sent=1, sent_bytes=len(WIRE.serialise(said(0)).data), sent_bits=4 * 3)
    assert counts == {1: once, 2: once, 3: LinkCounters(send_skipped=1), 4: once}


def test_a_peer_that_was_started_anew_gets_what_the_one_before_it_got() -> None:
    sent: list[tuple[int, int]] = []
    instances: dict[int, str | None] = {1: "first", 2: "first", 3: None}

    def send(peer: int, message: Outgoing) -> Written | None:
        if instances[peer] is None:
            return None
        sent.append((peer, message.message.step))
        return message.written(None)

    def outbox(*, withholds: bool) -> Outbox:
        sent.clear()
        instances.update({1: "first", 2: "first", 3: None})
        made = Outbox(
            wire=WIRE,
            send=send,
            is_silent=lambda peer: False,
            counts=CounterTable(),
            instance_of=instances.get,
            withholds=withholds,
        )
        made.push(said(0), sends_to=(1, 2, 3))
        assert sent == [(1, 0), (2, 0)]
        return made

    each_step = outbox(withholds=False)
    instances[1] = "second"
    each_step.catch_up(0, 1, sends_to=(1, 2, 3))
    assert sent[2:] == [(1, 0)]
    instances[1] = "third"
    each_step.catch_up(0, 2, sends_to=(1, 2, 3))
    assert len(sent) == 3, "no step reads an old message"

    some_steps = outbox(withholds=True)
    instances.update({2: None, 3: "first"})
    some_steps.catch_up(0, 4, sends_to=(1, 2, 3))
    assert sent[2:] == [(3, 0)], "what was withheld since is as it was"
    instances[2] = "second"
    some_steps.catch_up(0, 5, sends_to=(1, 2, 3))
    assert sent[3:] == [(2, 0)]
    some_steps.catch_up(0, 6, sends_to=(1, 2, 3))
    some_steps.catch_up(1, 0, sends_to=(1, 2, 3))
    assert len(sent) == 4, "once, and not into the next episode"
