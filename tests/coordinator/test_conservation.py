"""Both ends of every link must tell the same story."""

import pytest

from coordinator.conservation import LinkCounters, NodeReport, Reading, balance, traffic
from heliograph.errors import MessageError


def report(instance: str, *links: LinkCounters) -> NodeReport:
    return NodeReport(instance=instance, links=links)


def test_what_was_sent_is_delivered_late_rejected_lost_or_missing():
    reports = {
        0: report("a", LinkCounters(peer=1, sent=10, sent_bytes=270, delivered=3, late=1, lost=1)),
        1: report("b", LinkCounters(peer=0, sent=5, sent_bytes=135, delivered=6, late=2, rejected=1)),
    }
    there, back = balance(reports, team_size=2)
    assert (there.sender, there.receiver, there.lost, there.missing) == (0, 1, 0, 1)
    assert (back.sender, back.receiver, back.lost, back.missing) == (1, 0, 1, 0)
    assert (there.delivered, there.late, there.rejected, there.sent_bytes) == (6, 2, 1, 270)


def test_more_received_than_sent_is_an_error_that_names_the_link():
    reports = {0: report("a", LinkCounters(peer=1, sent=2)), 1: report("b", LinkCounters(peer=0, delivered=2, late=1))}
    with pytest.raises(MessageError, match=r"link 0->1: 2 messages sent, but 3 received"):
        balance(reports, team_size=2)


def test_links_of_a_node_that_died_are_unknown_and_never_guessed():
    reports = {
        0: report("a", LinkCounters(peer=1, sent=5), LinkCounters(peer=2, sent=5)),
        1: report("b", LinkCounters(peer=0, delivered=9), LinkCounters(peer=2)),
    }
    links = balance(reports, team_size=3, unknown={1})
    known = [(link.sender, link.receiver) for link in links if link.missing is not None]
    assert known == [], "slot 1 was replaced and slot 2 did not report, so no pair has two whole ends"
    assert len(links) == 6


def test_a_peer_never_spoken_with_counts_as_zero():
    links = balance({0: report("a"), 1: report("b")}, team_size=2)
    assert [link.missing for link in links] == [0, 0]


def test_traffic_is_the_difference_per_process_and_starts_from_zero_for_a_new_one():
    first = {0: report("a", LinkCounters(peer=1, sent=10, late=1)), 1: report("b", LinkCounters(peer=0, sent=10))}
    second = {0: report("a", LinkCounters(peer=1, sent=16, late=3)), 1: report("c", LinkCounters(peer=0, sent=4))}
    passed = traffic(
        Reading(reports=second, links=tuple(balance(second, team_size=2, unknown={1}))),
        since=Reading(reports=first, links=tuple(balance(first, team_size=2, unknown={0, 1}))),
    )
    assert passed.sent == 6 + 4
    assert passed.late == 2
    assert passed.unknown_links == 2


def reading(*links: LinkCounters) -> Reading:
    """Slot 0 sent what the first counts, slot 1 received what the second does."""
    reports = {slot: report(f"process-{slot}", counters) for slot, counters in enumerate(links)}
    return Reading(reports=reports, links=tuple(balance(reports, team_size=2)))


def test_what_was_missing_before_is_not_missing_again():
    before = reading(LinkCounters(peer=1, sent=10), LinkCounters(peer=0, delivered=7, rejected=1, lost=1))
    after = reading(LinkCounters(peer=1, sent=20), LinkCounters(peer=0, delivered=12, rejected=1, lost=3))
    assert [link.missing for link in (*before.links, *after.links)] == [1, 0, 4, 0]
    assert traffic(before, since=None).missing == 1
    passed = traffic(after, since=before)
    assert (passed.sent, passed.delivered, passed.rejected, passed.lost) == (10, 5, 0, 2)
    assert passed.missing == passed.sent - passed.delivered - passed.late - passed.rejected - passed.lost == 3
    assert traffic(after, since=after).missing == 0
