"""How much peers may say while one step of this node lasts.  Imported by `streams.py`.

By slot and not by stream, so that who is cut off gains nothing by dialling again.
"""

from __future__ import annotations

MESSAGES_PER_STEP = 64
"""A peer says one thing per step.  What it said to a node that was stopped may come all at once, but is late by then;
what goes beyond this is rejected unread."""

OVERDRAFT = 512
"""So many rejected messages more within one step, and the stream is ended until the next."""


class Allowance:
    """Counts what peers have said since the step began."""

    def __init__(self) -> None:
        self._taken: dict[int, int] = {}

    def renew(self) -> None:
        """A step begins."""
        self._taken.clear()

    def take(self, peer: int) -> bool:
        """Count a message of the peer; whether it may be read."""
        taken = self._taken[peer] = self._taken.get(peer, 0) + 1
        return taken <= MESSAGES_PER_STEP

    def is_overdrawn(self, peer: int) -> bool:
        """Whether the peer does not stop although nothing that it says is read."""
        return self._taken.get(peer, 0) > MESSAGES_PER_STEP + OVERDRAFT
