"""Do the two ends of every link tell the same story?  sent(i->j) = delivered + late + rejected + lost + missing.

Each node counts what it sent to and what it got from each peer, also what the simulated channel has lost of it.  Only
the coordinator sees both ends, so only it can say what is missing, which is never negative.  A link with an end that
died is unknown: its last counts went with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from heliograph.errors import MessageError


@dataclass(frozen=True, kw_only=True)
class LinkCounters:
    """One node's totals of its two directed links with `peer`, since it joined; fields as on the wire."""

    peer: int
    sent: int = 0
    sent_bytes: int = 0
    sent_bits: int = 0
    send_skipped: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    late: int = 0
    rejected: int = 0
    masked: int = 0
    lost: int = 0
    read: int = 0
    read_bits: int = 0


@dataclass(frozen=True, kw_only=True)
class LinkBalance:
    """What became of the messages of one directed link."""

    sender: int
    receiver: int
    sent: int
    sent_bytes: int
    sent_bits: int
    """Of the latents, as their codec counts them."""
    send_skipped: int
    delivered: int
    read: int
    """Of those delivered: read by a step, so neither out of hearing nor after the last step."""
    read_bits: int
    """Of the latents in those."""
    late: int
    rejected: int
    lost: int
    """In the simulated channel, as the receiver was told."""
    missing: int | None
    """Sent and never received, for no known reason; None: one end died or did not report, so nobody knows."""


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """What one node process counted since it joined."""

    instance: str
    """New for every process start; totals of different instances do not continue one another."""
    links: tuple[LinkCounters, ...]


Reports = Mapping[int, NodeReport]
"""By slot.  Slots without a live node that answered are left out."""


def balance(reports: Reports, *, team_size: int, unknown: Iterable[int] = ()) -> list[LinkBalance]:
    """Reconcile both ends of every directed link, ascending by (sender, receiver).

    `unknown` are slots whose node was replaced: its links are listed with `missing` None.  Raises MessageError if
    a receiver claims more messages than its sender sent.
    """
    unsure = set(unknown) | (set(range(team_size)) - set(reports))
    by_link = {(slot, counters.peer): counters for slot, report in reports.items() for counters in report.links}
    balances = []
    for sender in range(team_size):
        for receiver in range(team_size):
            if sender == receiver:
                continue
            out = by_link.get((sender, receiver), LinkCounters(peer=receiver))
            received = by_link.get((receiver, sender), LinkCounters(peer=sender))
            missing = out.sent - received.delivered - received.late - received.rejected - received.lost
            if sender in unsure or receiver in unsure:
                missing = None
            elif missing < 0:
                raise MessageError(
                    f"link {sender}->{receiver}: {out.sent} messages sent, but {out.sent - missing} received "
                    f"({received.delivered} delivered, {received.late} late, {received.rejected} rejected, "
                    f"{received.lost} lost in the simulated channel)",
                    remedy="One of the two nodes miscounts; compare their versions",
                )
            balances.append(
                LinkBalance(
                    sender=sender,
                    receiver=receiver,
                    sent=out.sent,
                    sent_bytes=out.sent_bytes,
                    sent_bits=out.sent_bits,
                    send_skipped=out.send_skipped,
                    delivered=received.delivered,
                    read=received.read,
                    read_bits=received.read_bits,
                    late=received.late,
                    rejected=received.rejected,
                    lost=received.lost,
                    missing=missing,
                )
            )
    return balances


def added(balances: Iterable[Sequence[LinkBalance]]) -> tuple[LinkBalance, ...]:
    """Add up what is known of the same links several times, such as once per episode."""
    sums: dict[tuple[int, int], Counter[str]] = {}
    for links in balances:
        for link in links:
            counts = {name: value for name, value in vars(link).items() if name not in ("sender", "receiver")}
            sums.setdefault((link.sender, link.receiver), Counter()).update(counts)
    return tuple(
        LinkBalance(sender=sender, receiver=receiver, **counts) for (sender, receiver), counts in sorted(sums.items())
    )


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Sums over all links of a team, between two readings of its counters."""

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

    @classmethod
    def nothing(cls) -> Traffic:
        """Of a team that has not played."""
        return cls.within_a_process(())

    @classmethod
    def within_a_process(cls, links: Sequence[LinkBalance]) -> Traffic:
        """The sums of links that are all known."""

        def total(name: str) -> int:
            return sum(getattr(link, name) for link in links)

        names = (field.name for field in fields(cls) if field.name != "unknown_links")
        return cls(unknown_links=0, **{name: total(name) for name in names})


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All counters at one moment."""

    reports: Reports
    links: tuple[LinkBalance, ...]


def traffic(now: Reading, *, since: Reading | None) -> Traffic:
    """What passed between two readings; a node that joined in between counts from zero, one that left not at all."""
    earlier = {} if since is None else {report.instance: report for report in since.reports.values()}

    def difference(name: str) -> int:
        return sum(
            _sum(report, name) - (_sum(earlier[report.instance], name) if report.instance in earlier else 0)
            for report in now.reports.values()
        )

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
        missing=_missing(now) - (0 if since is None else _missing(since)),
        unknown_links=sum(link.missing is None for link in now.links),
    )


def _sum(report: NodeReport, name: str) -> int:
    return sum(getattr(link, name) for link in report.links)


def _missing(reading: Reading) -> int:
    return sum(link.missing or 0 for link in reading.links)
