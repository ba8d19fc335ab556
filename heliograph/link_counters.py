"""What one node counts of the messages to and from one peer, from its counters to the coordinator's books.

For the link i -> j, with `sent` counted by i and the rest by j: sent = delivered + late + rejected + lost + missing,
where only the coordinator, which sees both ends, can tell what is missing.  Fields have the names of those on the wire.
Any package may import this.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LinkCounters:
    """Totals since the node started."""

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
    """Got through, but the simulated channel had lost them (`AgentInput.lost`)."""
    read: int = 0
    """Of those delivered: read by a step, so neither out of hearing nor after the last step."""
    read_bits: int = 0
    """Of the latents in those, as their codec counts them."""
