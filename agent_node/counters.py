"""What a node counts about its links, one entry per peer.  Imported by the node; the coordinator reconciles both ends.

For the link i -> j, with `sent` counted by i and the rest by j: sent = delivered + late + rejected + lost + missing,
where only the coordinator can tell what is missing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass


@dataclass(slots=True)
class LinkCounters:
    """Totals since the node started, of messages to and from one peer."""

    sent: int = 0
    """Handed to a stream."""
    sent_bytes: int = 0
    """Serialised size of those."""
    sent_bits: int = 0
    """Of the latents in those, as their codec counts them."""
    send_skipped: int = 0
    """Meant for the peer, but there was no stream, or the peer had been silent for too long."""
    delivered: int = 0
    """In time for the step that reads them, whether or not the peer could then be heard."""
    delivered_bytes: int = 0
    late: int = 0
    """Well-formed, but after their step was closed, or delayed by the simulated channel."""
    rejected: int = 0
    """Malformed, duplicate, or of a step that cannot be."""
    masked: int = 0
    """Steps at which the peer should have been heard and was absent."""
    lost: int = 0
    """Got through, but the simulated channel had lost them (`Percept.lost`)."""
    read: int = 0
    """Of those delivered: read by a step, so neither out of hearing nor after the last step."""
    read_bits: int = 0
    """Of the latents in those, as their codec counts them."""


class Ledger(defaultdict[int, LinkCounters]):
    """Counters by peer slot; an entry appears with its first event."""

    def __init__(self) -> None:
        super().__init__(LinkCounters)
