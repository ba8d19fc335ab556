"""How long to wait for what, and the common grid on which steps start."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from heliograph.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long to wait for what, and when steps start."""

    action_deadline_s: float = 5.0
    """From sending the percepts; then the world goes on without the missing actions."""
    message_deadline_s: float = 1.0
    """How long each node waits for its peers' messages."""
    period_s: float | None = None
    """Steps start on multiples of this on the coordinator's clock; None: as soon as the step before is done."""

    def __post_init__(self) -> None:
        for name in ("action_deadline_s", "message_deadline_s", "period_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} must be a positive number of seconds, not {value}")
        if self.message_deadline_s >= self.action_deadline_s:
            raise SettingsError(
                f"message_deadline_s {self.message_deadline_s:g} must be shorter than "
                f"action_deadline_s {self.action_deadline_s:g}",
                remedy="A node acts only after it has waited for its messages",
            )


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
