"""How long a run has been trained, over all its parts: by the clock on the wall, and by the processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.processor_time import processor_seconds
from trainer.ranks.group import ranks
from trainer.training.running_time import RunningTime
from trainer.training.settings import ScheduleSettings


class Clock:
    """Counts while the run is trained; interruptions are left out, and while the process is suspended."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Wall time."""
        self._cpu_seconds = 0.0
        self._of_all = 0.0  # ranks together, when they last told one another
        self._whole = True  # all parts of the run have counted processor time
        self._running: RunningTime | None = None
        self._began: tuple[float, float, float, float] | None = None

    def begin(self) -> None:
        """This part of the run begins now."""
        self._began = self.seconds, self._cpu_seconds, self.now(), processor_seconds()

    def end(self) -> None:
        """Nothing is counted any more."""
        if self._running is not None:
            self._running.end()

    def now(self) -> float:
        """Seconds since some moment of this part, in which the process was not suspended."""
        self._running = self._running or RunningTime()
        return self._running.now()

    def tick(self) -> None:
        """Count up to now."""
        assert self._began is not None
        seconds, cpu_seconds, then, cpu_then = self._began
        self.seconds = seconds + self.now() - then
        self._cpu_seconds = cpu_seconds + processor_seconds() - cpu_then

    def share(self) -> None:
        """Take in the processor time of all ranks, which all call this at once."""
        self._of_all = ranks().total(self._cpu_seconds)

    @property
    def record(self) -> dict[str, float]:
        """What the run logs, of all ranks as of `share`: `cpu_seconds` is left out where a part did not count them."""
        return self._record(self._of_all)

    @property
    def state(self) -> dict[str, float]:
        """For a checkpoint: the same, of this rank."""
        return self._record(self._cpu_seconds)

    def _record(self, cpu_seconds: float) -> dict[str, float]:
        return {"seconds": self.seconds, **({"cpu_seconds": cpu_seconds} if self._whole else {})}

    def is_over(self, schedule: ScheduleSettings, *, limit_seconds: float | None) -> bool:
        """Whether one of the limits is reached: that of wall time, which may have been extended, or the schedule's."""
        if limit_seconds is not None and self.seconds >= limit_seconds:
            return True
        return bool(schedule.cpu_minutes) and self._of_all >= 60 * schedule.cpu_minutes

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from the `state` of a checkpoint, also of versions that did not count processor time."""
        self.seconds = float(state["seconds"])
        self._whole = "cpu_seconds" in state
        self._cpu_seconds = float(state.get("cpu_seconds", 0.0))
