"""A request to stop that reaches all ranks, whichever of them was asked."""

from __future__ import annotations

import time

from heliograph.stopping import StopRequest
from trainer.ranks.group import Ranks

LOOK_S = 0.5
"""Between two looks at what the others were asked: each costs a round trip."""


class SharedStop(StopRequest):
    """Asked here or on another rank, it is wanted everywhere within a second."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks, self._looked_at = ranks, float("-inf")

    @property
    def wanted(self) -> bool:
        if super().wanted:
            return True
        if self._ranks.count > 1 and time.monotonic() - self._looked_at >= LOOK_S:
            self._looked_at = time.monotonic()
            if self._ranks.asked_to_stop:
                super().ask()
        return super().wanted

    def ask(self) -> None:
        """Ask the work of all ranks to end."""
        super().ask()
        self._ranks.ask_to_stop()
