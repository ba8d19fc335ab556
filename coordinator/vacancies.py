"""Slots for nodes that come without one, such as the replicas of a container: each goes to one node at a time."""

from __future__ import annotations

import time

from coordinator.team import Team
from heliograph.errors import SlotTaken

PROMISE_S = 5.0
"""How long a slot is kept for the node that fetched its bundle; it joins as soon as it has loaded that."""


class Vacancies:
    """The slots of `team` that nobody holds and nobody was promised."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._promised_until: dict[int, float] = {}

    def promise(self) -> int:
        """The lowest vacant slot; nobody else is promised it for a while.  Raises SlotTaken if there is none."""
        now = time.monotonic()
        for slot in range(self._team.size):
            if slot not in self._team.live and self._promised_until.get(slot, now) <= now:
                self._promised_until[slot] = now + PROMISE_S
                return slot
        raise SlotTaken(f"all {self._team.size} slots are held by live nodes, or promised to some that are joining")

    def taken(self, slot: int) -> None:
        """A node has joined as `slot`: when it leaves, the slot is vacant at once."""
        self._promised_until.pop(slot, None)
