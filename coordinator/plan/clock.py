"""The common grid on which steps start."""

from __future__ import annotations

import asyncio
import math
import time


class Clock:
    """The common grid on which steps start: nodes paced by their own timers drift apart and mask one another."""

    def __init__(self, period_s: float | None) -> None:
        self._period_s = period_s
        self._origin: float | None = None

    async def tick(self) -> None:
        """Wait for the next grid point; a step that took longer skips to the one after it."""
        if self._period_s is None:
            return
        now = time.monotonic()
        if self._origin is None:
            self._origin = now
            return
        periods = math.floor((now - self._origin) / self._period_s) + 1
        await asyncio.sleep(self._origin + periods * self._period_s - now)
