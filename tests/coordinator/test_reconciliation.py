"""Three counts of the same messages: equal ones agree, different ones name the link, unknown ones say why."""

from __future__ import annotations

import pytest

from coordinator.links.http2 import KINDS
from coordinator.links.reconciliation import Recorded, reconcile
from coordinator.links.traffic import FrameCount, LinkTraffic
from coordinator.serving.conservation import NodeReport, balance
from heliograph.errors import MessageError
from heliograph.http2 import HEADER_BYTES
from heliograph.link_counters import LinkCounters

SENT = {(0, 1): (4, 100), (1, 0): (3, 70)}
"""Messages and bytes of protobuf."""


def balances(*, missing: int = 0, unknown: tuple[int, ...] = (), skipped: int = 0):
    reports = {}
    for slot, peer in SENT:
        sent, size = SENT[slot, peer]
        counters = LinkCounters(
            sent=sent,
            sent_bytes=size,
            sent_bits=160 * sent,
            send_skipped=skipped,
            delivered=SENT[peer, slot][0] - missing,
        )
        reports[slot] = NodeReport(instance=str(slot), links={peer: counters})
    return balance(reports, team_size=2, unknown=unknown)


def recorded():
    return {
        link: Recorded(messages=sent, latent_bits=160 * sent, codec_bytes=0, protobuf_bytes=size)
        for link, (sent, size) in SENT.items()
    }


def framed(*, connections: int = 0, more: int = 0) -> dict[tuple[int, int], LinkTraffic]:
    passed = {}
    for link, (sent, size) in SENT.items():
        frames = dict.fromkeys(KINDS, FrameCount())
        frames["DATA"] = FrameCount(frames=2, bytes=size + 5 * sent + 2 * HEADER_BYTES + more)
        passed[link] = LinkTraffic(connections=connections, frames=frames)
    return passed


def test_equal_counts_agree():
    sentences = reconcile(balances(), recorded=recorded(), passed=framed(), doubts={})
    assert [sentence.split(":")[0] for sentence in sentences] == ["2 of 2 links", "2 of 2 links"]


def test_a_difference_between_records_and_nodes_names_the_link():
    wrong = recorded() | {(1, 0): Recorded(messages=2, latent_bits=480, codec_bytes=0, protobuf_bytes=70)}
    with pytest.raises(MessageError, match=r"link 1->0: 2 messages sent by the records, 3 by the nodes"):
        reconcile(balances(), recorded=wrong, passed=framed(), doubts={})


def test_a_difference_between_frames_and_nodes_names_the_link():
    with pytest.raises(MessageError, match=r"link 0->1: 121 bytes in DATA frames by the frames, 120 by the nodes"):
        reconcile(balances(), recorded=recorded(), passed=framed(more=1), doubts={})


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"unknown": (1,)}, "took its counts with it"),
        ({"skipped": 2}, "2 messages were not sent"),
    ],
)
def test_a_link_that_nobody_can_know_all_of_is_named_with_the_reason(known, reason):
    wrong = recorded() | {(0, 1): Recorded(messages=9, latent_bits=9, codec_bytes=0, protobuf_bytes=9)}
    sentences = reconcile(balances(**known), recorded=wrong, passed=framed(), doubts={})
    assert sentences[0].startswith("0 of 2 links")
    assert "0->1 could not be compared" in sentences[2]
    assert reason in sentences[2]


def test_frames_are_not_compared_where_a_connection_broke_with_what_was_in_it():
    for links, passed in ((balances(), framed(connections=1, more=7)), (balances(missing=1), framed(more=7))):
        sentences = reconcile(
            links, recorded=recorded(), passed=passed, doubts=dict.fromkeys((0, 1), "the run was cut short")
        )
        assert sentences[1].startswith("0 of 2 links")
        assert "the run was cut short" in sentences[2]
