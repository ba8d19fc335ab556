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
