"""Both ends of every link must tell the same story."""

from coordinator.serving.conservation import NodeReport, Reading, balance, disputes, traffic
from heliograph.link_counters import LinkCounters

Link = tuple[int, LinkCounters]


def link(peer: int, **counts: int) -> Link:
    return peer, LinkCounters(**counts)


def report(instance: str, *links: Link) -> NodeReport:
    return NodeReport(instance=instance, links=dict(links))


def test_what_was_sent_is_delivered_late_rejected_lost_or_missing():
    reports = {
        0: report("a", link(1, sent=10, sent_bytes=270, delivered=3, late=1, lost=1)),
        1: report("b", link(0, sent=5, sent_bytes=135, delivered=6, late=2, rejected=1)),
    }
    there, back = balance(reports, team_size=2)
    assert (there.sender, there.receiver, there.lost, there.missing) == (0, 1, 0, 1)
    assert (back.sender, back.receiver, back.lost, back.missing) == (1, 0, 1, 0)
    assert (there.delivered, there.late, there.rejected, there.sent_bytes) == (6, 2, 1, 270)


def test_more_received_than_sent_leaves_unknown_what_passed_between_the_two():
    reports = {
        0: report("a", link(1, sent=2), link(2, sent=7)),
        1: report("b", link(0, sent=4, delivered=2, late=1)),
        2: report("c", link(0, delivered=7)),
    }
    links = balance(reports, team_size=3)
    (wrong,) = [each for each in links if each.inexact]
    found = disputes(reports)
    assert found == {(0, 1): wrong.inexact["missing"].why}
    assert found[0, 1].startswith("one of nodes 0 and 1 miscounts: 2 messages sent, but 3 received")
    assert {name: getattr(wrong, name) for name in ("sent", "delivered", "missing")} == dict.fromkeys(
        ("sent", "delivered", "missing")
    )
    assert all(entry.at_least is None for entry in wrong.inexact.values()), "either end may have counted too much"

    since = Reading(reports=reports, links=tuple(links), disputes=found)
    passed = traffic(since, since=None)
    assert (passed.sent, passed.sent_by[0], passed.delivered) == (7, 7, 7), "of 0 and 2, which agree"
    assert (passed.doubt, passed.unknown_links) == (found[0, 1], 1)
    before = {slot: report(each.instance) for slot, each in reports.items()}
    assert traffic(since, since=Reading(reports=before, links=tuple(balance(before, team_size=3)))).sent == 7
    assert traffic(since, since=since).sent == 0
    assert traffic(since, since=since).doubt == found[0, 1]


def test_links_of_a_node_that_died_are_unknown_and_never_guessed():
    reports = {
        0: report("a", link(1, sent=5), link(2, sent=5)),
        1: report("b", link(0, delivered=9), link(2)),
    }
    links = balance(reports, team_size=3, unknown={1})
    known = [(link.sender, link.receiver) for link in links if link.missing is not None]
    assert known == [], "slot 1 was replaced and slot 2 did not report, so no pair has two whole ends"
    assert len(links) == 6


def test_a_peer_never_spoken_with_counts_as_zero():
    links = balance({0: report("a"), 1: report("b")}, team_size=2)
    assert [link.missing for link in links] == [0, 0]


def test_traffic_is_the_difference_per_process_and_starts_from_zero_for_a_new_one():
    first = {0: report("a", link(1, sent=10, late=1)), 1: report("b", link(0, sent=10))}
    second = {0: report("a", link(1, sent=16, late=3)), 1: report("c", link(0, sent=4))}
    passed = traffic(
        Reading(reports=second, links=tuple(balance(second, team_size=2, unknown={1}))),
        since=Reading(reports=first, links=tuple(balance(first, team_size=2, unknown={0, 1}))),
    )
    assert passed.sent == 6 + 4
    assert passed.late == 2
    assert passed.unknown_links == 2


def reading(*links: Link) -> Reading:
    """Slot 0 sent what the first counts, slot 1 received what the second does."""
    reports = {slot: report(f"process-{slot}", counters) for slot, counters in enumerate(links)}
    return Reading(reports=reports, links=tuple(balance(reports, team_size=2)))


def test_what_was_missing_before_is_not_missing_again():
    before = reading(link(1, sent=10), link(0, delivered=7, rejected=1, lost=1))
    after = reading(link(1, sent=20), link(0, delivered=12, rejected=1, lost=3))
    assert [link.missing for link in (*before.links, *after.links)] == [1, 0, 4, 0]
    assert traffic(before, since=None).missing == 1
    passed = traffic(after, since=before)
    assert (passed.sent, passed.delivered, passed.rejected, passed.lost) == (10, 5, 0, 2)
    assert passed.missing == passed.sent - passed.delivered - passed.late - passed.rejected - passed.lost == 3
    assert traffic(after, since=after).missing == 0


def test_what_an_end_counted_that_is_gone_is_null_with_its_bound_and_its_reason():
    reports = {0: report("a", link(1, sent=5, delivered=4)), 1: report("b", link(0, sent=3))}
    there, back = balance(reports, team_size=2, unknown={1})
    assert (there.sent, there.delivered, there.missing) == (5, None, None), "slot 0 lives and knows what it sent"
    assert (back.sent, back.inexact["sent"].at_least, back.delivered) == (None, 3, 4)
    assert "earlier process of node 1" in back.inexact["sent"].why
    (gone, _) = balance({0: reports[0]}, team_size=2)[::-1]
    assert (gone.sent, gone.inexact["sent"].at_least) == (None, None), "nothing is known, which is not 0"
    assert "node 1 is gone" in gone.inexact["sent"].why


def test_traffic_is_doubted_in_the_very_interval_in_which_a_node_left_or_did_not_answer():
    whole = {0: report("a", link(1, sent=9)), 1: report("b", link(0, delivered=9))}
    alone = {0: whole[0]}

    def at(reports, **found) -> Reading:
        return Reading(reports=reports, links=tuple(balance(reports, team_size=2)), **found)

    one, two = {0: ("a",), 1: ("b",)}, {0: ("a",), 1: ("z", "b")}
    first = Reading(reports={0: whole[0], 1: report("z")}, links=(), seen={0: ("a",), 1: ("z",)})
    assert traffic(at(whole, seen=one), since=None).doubt == ""
    assert "node 1 left or died" in traffic(at(whole, seen=two), since=None).doubt
    assert "node 1 left or died" in traffic(at(whole, seen=two), since=first).doubt
    assert "node 1 left or died" in traffic(at(alone, seen=one), since=at(whole, seen=one)).doubt
    assert traffic(at(whole, seen=two), since=at(whole, seen=two)).doubt == "", "that was before"
    gone = at(alone, seen=one)
    assert traffic(gone, since=gone).doubt == "", "who is not there sends nothing that could be missed"
    assert "node 1 did not tell its counts" in traffic(at(alone, silent={1: "b"}), since=None).doubt
    awake = traffic(at(whole), since=at(alone, silent={1: "b"}))
    assert "node 1 did not tell" in awake.doubt
    assert (awake.sent, awake.delivered) == (0, 0), "how much of what it counted is older, nobody knows"


def test_a_link_that_becomes_unknown_takes_back_nothing_that_was_missing():
    before = reading(link(1, sent=10), link(0, delivered=7))
    after = Reading(reports=before.reports, links=tuple(balance(before.reports, team_size=2, unknown={1})))
    assert traffic(before, since=None).missing == 3
    assert traffic(after, since=before).missing == 0
