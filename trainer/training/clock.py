"""How long a run has been trained, over all its parts: by the clock on the wall, and by the processors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from heliograph.processor_time import processor_seconds
from trainer.training.settings import ScheduleSettings


class Clock:
    """Counts while the run is trained; interruptions are left out."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Wall time."""
        self._cpu_seconds = 0.0
        self._whole = True  # all parts of the run have counted processor time
        self._began: tuple[float, float, float, float] | None = None

    def begin(self) -> None:
        """This part of the run begins now."""
        self._began = self.seconds, self._cpu_seconds, time.monotonic(), processor_seconds()

    def tick(self) -> None:
        """Count up to now."""
        assert self._began is not None
        seconds, cpu_seconds, then, cpu_then = self._began
        self.seconds = seconds + time.monotonic() - then
        self._cpu_seconds = cpu_seconds + processor_seconds() - cpu_then

    @property
    def record(self) -> dict[str, float]:
        """What the run logs: `cpu_seconds` is left out where a part of the run did not count them."""
        return {"seconds": self.seconds, **({"cpu_seconds": self._cpu_seconds} if self._whole else {})}

    def is_over(self, schedule: ScheduleSettings, *, limit_seconds: float | None) -> bool:
        """Whether one of the limits is reached: that of wall time, which may have been extended, or the schedule's."""
        if limit_seconds is not None and self.seconds >= limit_seconds:
            return True
        return bool(schedule.cpu_minutes) and self._cpu_seconds >= 60 * schedule.cpu_minutes

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from the `record` of a checkpoint, also of versions that did not count processor time."""
        self.seconds = state["seconds"]
        self._whole = "cpu_seconds" in state
        self._cpu_seconds = state.get("cpu_seconds", 0.0)
