"""Do the two ends of every link tell the same story?  sent(i->j) = delivered + late + rejected + lost + missing.

Each node counts what it sent to and what it got from each peer, also what the simulated channel has lost of it.  Only
the coordinator sees both ends, so only it can say what is missing, which is never negative.  What an end counted that
died, or does not answer, is not known: its last counts went with it (`heliograph.figures`).  Nor is what passed between
two ends that cannot both be right, since nobody knows which of them miscounts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain, permutations
from typing import Any

from heliograph.figures import Inexact, figures, joined
from heliograph.link_counters import LinkCounters

SENDERS = ("sent", "sent_bytes", "sent_bits", "send_skipped")
RECEIVERS = ("delivered", "read", "read_bits", "late", "rejected", "lost")
"""Which end of a link counts what."""


@dataclass(frozen=True, kw_only=True)
class LinkBalance:
    """What became of the messages of one directed link.  Figures: None where an end died or did not report."""

    sender: int
    receiver: int
    sent: int | None
    sent_bytes: int | None
    sent_bits: int | None
    """Of the latents, as their codec counts them."""
    send_skipped: int | None
    delivered: int | None
    read: int | None
    """Of those delivered: read by a step, so neither out of hearing nor after the last step."""
    read_bits: int | None
    """Of the latents in those."""
    late: int | None
    rejected: int | None
    lost: int | None
    """In the simulated channel, as the receiver was told."""
    missing: int | None
    """Sent and never received, for no known reason."""
    inexact: Mapping[str, Inexact] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """What one node process counted since it joined."""

    instance: str
    """New for every process start; totals of different instances do not continue one another."""
    links: Mapping[int, LinkCounters]
    """By peer; one with which nothing ever happened is left out."""


Reports = Mapping[int, NodeReport]
"""By slot.  Slots without a live node that answered are left out."""


def balance(reports: Reports, *, team_size: int, unknown: Iterable[int] = ()) -> list[LinkBalance]:
    """Reconcile both ends of every directed link, ascending by (sender, receiver).

    `unknown` are slots whose node was replaced: what an earlier one counted is not known.
    """
    doubts = {slot: f"an earlier process of node {slot} took its counts with it" for slot in unknown}
    doubts |= {
        slot: f"node {slot} is gone or does not answer, and its counts with it"
        for slot in set(range(team_size)) - set(reports)
    }
    contradicted = disputes(reports, unknown=unknown)
    balances = []
    for sender, receiver in permutations(range(team_size), 2):
        out, received = _ends(reports, sender, receiver)
        dispute = contradicted.get((sender, receiver), "")
        here, there = (dispute or doubts.get(slot, "") for slot in (sender, receiver))
        balances.append(
            LinkBalance(
                sender=sender,
                receiver=receiver,
                **joined(
                    figures({name: getattr(out, name) for name in SENDERS}, doubt=here, bounds=not dispute),
                    figures({name: getattr(received, name) for name in RECEIVERS}, doubt=there, bounds=not dispute),
                    figures({"missing": _missing(out, received)}, doubt=here or there, bounds=False),
                ),
            )
        )
    return balances


def disputes(reports: Reports, *, unknown: Iterable[int] = ()) -> dict[tuple[int, int], str]:
    """By (sender, receiver): why its two ends cannot both be right.  Of those who reported, less the `unknown`."""
    found = {}
    for sender, receiver in permutations(sorted(reports.keys() - set(unknown)), 2):
        out, received = _ends(reports, sender, receiver)
        missing = _missing(out, received)
        if missing < 0:
            found[sender, receiver] = (
                f"one of nodes {sender} and {receiver} miscounts: {out.sent} messages sent, but {out.sent - missing} "
                f"received ({received.delivered} delivered, {received.late} late, {received.rejected} rejected, "
                f"{received.lost} lost in the simulated channel)"
            )
    return found


def _ends(reports: Reports, sender: int, receiver: int) -> tuple[LinkCounters, LinkCounters]:
    """What the two ends of a link counted; nothing, where one did not report."""
    here, there = (reports[slot].links if slot in reports else {} for slot in (sender, receiver))
    return here.get(receiver, LinkCounters()), there.get(sender, LinkCounters())


def _missing(out: LinkCounters, received: LinkCounters) -> int:
    return out.sent - received.delivered - received.late - received.rejected - received.lost


def added(balances: Iterable[Sequence[LinkBalance]]) -> tuple[LinkBalance, ...]:
    """Add up the same links, all known, several times, such as once per episode."""
    by_link: defaultdict[tuple[int, int], list[LinkBalance]] = defaultdict(list)
    for link in chain.from_iterable(balances):
        by_link[link.sender, link.receiver].append(link)
    return tuple(
        LinkBalance(sender=sender, receiver=receiver, **_totals(links, (*SENDERS, *RECEIVERS, "missing")))
        for (sender, receiver), links in sorted(by_link.items())
    )


def _totals(links: Sequence[LinkBalance], names: Iterable[str]) -> dict[str, Any]:
    """Sums of counts that are all known, as arguments of a dataclass that has fields of these names."""
    return {name: sum(getattr(link, name) for link in links) for name in names}


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Sums over all links of a team, between two readings of its counters: of what was counted."""

    sent: int
    sent_bytes: int
    sent_bits: int
    """Of the latents, as their codec counts them."""
    send_skipped: int
    delivered: int
    read: int
    read_bits: int
    late: int
    rejected: int
    lost: int
    missing: int
    """On the links that are known."""
    unknown_links: int
    """Directed links of which nobody knows what is missing."""
    sent_by: Mapping[int, int] = field(default_factory=dict)
    """`sent` by the slot of the sender, and so is `read` in `read_of`."""
    read_of: Mapping[int, int] = field(default_factory=dict)
    doubt: str = ""
    """Why there may have been more than was counted; empty: there was not."""

    @classmethod
    def nothing(cls) -> Traffic:
        """Of a team that has not played."""
        return cls.within_a_process(())

    @classmethod
    def within_a_process(cls, links: Sequence[LinkBalance]) -> Traffic:
        """The sums of links that are all known."""
        others = ("unknown_links", "sent_by", "read_of", "doubt")
        names = [each.name for each in fields(cls) if each.name not in others]
        sent_by, read_of = Counter[int](), Counter[int]()
        for link in links:
            sent_by[link.sender] += link.sent or 0
            read_of[link.sender] += link.read or 0
        return cls(unknown_links=0, sent_by=sent_by, read_of=read_of, **_totals(links, names))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All counters at one moment."""

    reports: Reports
    links: tuple[LinkBalance, ...]
    seen: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By slot: the instances that have held it so far, in order."""
    silent: Mapping[int, str] = field(default_factory=dict)
    """By slot: instances of live nodes that did not answer."""
    disputes: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """By `disputes`."""


def traffic(now: Reading, *, since: Reading | None) -> Traffic:
    """What passed between two readings; a node that joined in between counts from zero, one that left not at all.

    Nor does one that was silent at the first of them: how much of its counts is older, nobody knows.  Nor does
    what passed between two nodes of which one miscounts it.
    """
    since = Reading(reports={}, links=()) if since is None else since
    contradicted = {**since.disputes, **now.disputes}
    pairs = {frozenset(link) for link in contradicted}
    now, since = _without(now, pairs), _without(since, pairs)
    earlier = {report.instance: report for report in since.reports.values()}
    unsettled = {slot for slot, report in now.reports.items() if report.instance in since.silent.values()}
    counted = [report for slot, report in now.reports.items() if slot not in unsettled]

    def difference(name: str) -> int:
        return sum(
            _sum(report, name) - (_sum(earlier[report.instance], name) if report.instance in earlier else 0)
            for report in counted
        )

    sent_by, read_of = Counter[int](), Counter[int]()
    for slot, report in now.reports.items():
        before = earlier[report.instance].links if report.instance in earlier else {}
        for peer, counters in report.links.items() if slot not in unsettled else ():
            known = before.get(peer, LinkCounters())
            sent_by[slot] += counters.sent - known.sent
            read_of[peer] += counters.read - known.read
    return Traffic(
        sent=difference("sent"),
        sent_bytes=difference("sent_bytes"),
        sent_bits=difference("sent_bits"),
        send_skipped=difference("send_skipped"),
        delivered=difference("delivered"),
        read=difference("read"),
        read_bits=difference("read_bits"),
        late=difference("late"),
        rejected=difference("rejected"),
        lost=difference("lost"),
        missing=_newly_missing(now, since),
        unknown_links=sum(link.missing is None for link in now.links),
        sent_by=sent_by,
        read_of=read_of,
        doubt=_doubt(departed=_departed(now, since), silent={*now.silent, *unsettled}, disputes=contradicted.values()),
    )


def _departed(now: Reading, since: Reading) -> set[int]:
    """Slots of which a process took part between the readings whose counts nobody can ask for any more."""
    slots = set()
    for slot, seen in now.seen.items():
        before = since.seen.get(slot, ())
        was_live = slot in since.reports or slot in since.silent
        taking_part = [*(before[-1:] if was_live else ()), *seen[len(before) :]]
        here = {now.silent.get(slot), now.reports[slot].instance if slot in now.reports else None}
        if set(taking_part) - here:
            slots.add(slot)
    return slots


def _without(reading: Reading, pairs: Collection[frozenset[int]]) -> Reading:
    """With no counts of these pairs of slots."""
    if not pairs:
        return reading
    reports = {
        slot: replace(
            report,
            links={peer: counters for peer, counters in report.links.items() if frozenset((slot, peer)) not in pairs},
        )
        for slot, report in reading.reports.items()
    }
    return replace(reading, reports=reports)


def _doubt(*, departed: Iterable[int], silent: Iterable[int], disputes: Iterable[str]) -> str:
    parts = [f"node {slot} left or died, and its counts with it" for slot in sorted(departed)]
    parts += [f"node {slot} did not tell its counts in time" for slot in sorted(silent)]
    return "; ".join((*parts, *disputes))


def _sum(report: NodeReport, name: str) -> int:
    return sum(getattr(counters, name) for counters in report.links.values())


def _newly_missing(now: Reading, since: Reading) -> int:
    """On the links that are known at both readings, or had not been read before."""
    before = {(link.sender, link.receiver): link.missing for link in since.links}
    known = [(link.missing, before.get((link.sender, link.receiver), 0)) for link in now.links]
    return sum(late - early for late, early in known if late is not None and early is not None)
