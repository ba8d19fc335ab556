"""Where a run waits between two steps while a person looks at it.  Any thread may open and close it."""

from __future__ import annotations

import asyncio
import threading
import time

from coordinator.plan.clock import Clock

POLL_S = 0.02
"""How often a run that is held looks whether it may go on; one that is not never waits."""


class Gate:
    """Open, or closed but for single steps."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._steps = 0

    @property
    def closed(self) -> bool:
        return self._closed

    def pause(self) -> None:
        """Hold the run before its next step."""
        with self._lock:
            self._closed, self._steps = True, 0

    def resume(self) -> None:
        with self._lock:
            self._closed, self._steps = False, 0

    def step(self) -> None:
        """Let one step through, and hold the run again."""
        with self._lock:
            self._closed = True
            self._steps += 1

    async def passed(self) -> None:
        while not self._lets_through():
            await asyncio.sleep(POLL_S)

    def wait(self) -> None:
        """Like `passed`, for a run without an event loop."""
        while not self._lets_through():
            time.sleep(POLL_S)

    def _lets_through(self) -> bool:
        if not self._closed:
            return True
        with self._lock:
            if self._closed and not self._steps:
                return False
            self._steps = max(0, self._steps - 1)
            return True


class GatedClock(Clock):
    """A clock whose steps also wait for the gate; nodes meanwhile wait for their next agent input."""

    def __init__(self, period_s: float | None, gate: Gate) -> None:
        super().__init__(period_s)
        self._gate = gate

    async def tick(self) -> None:
        await self._gate.passed()
        await super().tick()
