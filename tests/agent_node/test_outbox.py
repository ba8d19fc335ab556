"""The outbox: each listener gets a message once, and only while it is the newest."""

from __future__ import annotations

from agent_node.counters import Ledger, LinkCounters
from agent_node.outbox import Outbox


def test_each_listener_of_either_step_gets_the_message_once() -> None:
    sent: list[tuple[int, str]] = []
    up, silent, ledger = {1, 2, 3}, {3}, Ledger()

    def send(peer: int, payload: str) -> bool:
        if peer not in up:
            return False
        sent.append((peer, payload))
        return True

    outbox: Outbox[str] = Outbox(send=send, is_silent=silent.__contains__, ledger=ledger)
    outbox.catch_up(0, 0, heard_by=(1, 2))
    assert sent == [], "nothing was said yet"
    outbox.push((0, 0), "zero", size_bytes=4, heard_by=(1, 3, 4))
    assert sent == [(1, "zero")], "not to the silent, not without a stream"
    up.add(4)
    outbox.catch_up(0, 1, heard_by=(1, 2, 4))
    assert sent[1:] == [(2, "zero"), (4, "zero")]
    outbox.push((0, 1), "one", size_bytes=3, heard_by=())
    outbox.catch_up(0, 3, heard_by=(1,))
    outbox.catch_up(1, 0, heard_by=(1,))
    assert len(sent) == 3, "no step reads an old message"
    assert ledger == {
        1: LinkCounters(sent=1, sent_bytes=4),
        2: LinkCounters(sent=1, sent_bytes=4),
        3: LinkCounters(send_skipped=1),
        4: LinkCounters(sent=1, sent_bytes=4),
    }
