"""Slots for nodes that come without one, such as the replicas of a container: each goes to one node at a time."""

from __future__ import annotations

import time

from coordinator.serving.team import Team
from heliograph.errors import SlotTaken

PROMISE_S = 5.0
"""How long a slot is kept for the node that fetched its bundle; it joins as soon as it has loaded that."""


class SlotReservations:
    """The slots of `team` that nobody holds and nobody was promised."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._promised_until: dict[int, float] = {}

    def promise(self) -> int:
        """The lowest free slot; nobody else is promised it for a while.  Raises SlotTaken if there is none.

        One whose node is cut off comes last: who is started now may be there in that one's place.
        """
        now = time.monotonic()
        cut_off = self._team.cut_off
        for slot in sorted(range(self._team.size), key=lambda slot: (slot in cut_off, slot)):
            if slot not in self._team.live and self._promised_until.get(slot, now) <= now:
                self._promised_until[slot] = now + PROMISE_S
                return slot
        raise SlotTaken(f"all {self._team.size} slots are held by live nodes, or promised to some that are joining")

    def taken(self, slot: int) -> None:
        """A node has joined as `slot`: when it leaves, the slot is free at once."""
        self._promised_until.pop(slot, None)
