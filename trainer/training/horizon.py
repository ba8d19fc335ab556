"""How long a training still takes: until it is usually done, and at most, from the speed that it has here and now."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from heliograph.run_status import RunState, RunStatus
from trainer.training.settings import ScheduleSettings

WINDOW_S = 60.0
"""Speed is measured over the last minute, so that it follows a machine whose load changes."""
LEAST_S = 3.0
"""Before so much of it is measured, no speed is told."""


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """Where a run ends."""

    limit_env_steps: int
    """At the latest."""
    limit_seconds: float | None
    """Of wall time, all parts of the run together; None: any."""
    usual_env_steps: int | None = None
    """Where runs of this preset usually have reached their target; None if that is not known."""

    def left_s(self, *, env_steps: int, seconds: float, steps_per_s: float) -> float:
        """Wall time until the limit."""
        left = max(0, self.limit_env_steps - env_steps) / steps_per_s
        return left if self.limit_seconds is None else max(0.0, min(left, self.limit_seconds - seconds))

    def usually_left_s(self, *, env_steps: int, steps_per_s: float) -> float | None:
        """Wall time until the run is usually done; None if that is not known, or is over."""
        if self.usual_env_steps is None or env_steps >= self.usual_env_steps:
            return None
        return (self.usual_env_steps - env_steps) / steps_per_s

    def share(self, *, env_steps: int, seconds: float) -> float:
        """Of the run that is done, if it goes on to its limit."""
        timed = 0.0 if self.limit_seconds is None else seconds / self.limit_seconds
        return min(1.0, max(env_steps / self.limit_env_steps, timed))


def horizon_of(schedule: ScheduleSettings, status: RunStatus | None) -> Horizon:
    """That of a run with this schedule, fresh (None) or resumed with this status.

    One that has not reached its target is granted as much again as the schedule says, from where it is.
    """
    limit_steps, minutes = schedule.env_steps, schedule.minutes
    if status is not None:
        limit_steps = max(limit_steps, status.limit_env_steps or 0)
        minutes = max(minutes, status.limit_minutes or 0.0) if minutes else 0.0
        if status.state is RunState.UNREACHED:
            limit_steps = max(limit_steps, (status.env_steps or 0) + schedule.env_steps)
            minutes += schedule.minutes
    usual = schedule.usual_env_steps
    return Horizon(
        limit_env_steps=limit_steps,
        limit_seconds=60 * minutes if minutes else None,
        # At the limit or beyond it tells nothing that the limit does not.
        usual_env_steps=usual if usual is not None and usual < limit_steps else None,
    )


def limited(status: RunStatus, horizon: Horizon) -> RunStatus:
    """The status of a run that ends at this horizon."""
    minutes = None if horizon.limit_seconds is None else horizon.limit_seconds / 60
    return replace(status, limit_env_steps=horizon.limit_env_steps, limit_minutes=minutes)


class Pace:
    """Environment steps per second of training, evaluations included, while the run learns."""

    def __init__(self) -> None:
        self._passed: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, env_steps: int) -> None:
        """After an iteration that has learned: those that only collect are much faster, and soon over.

        `now_s` is of a clock that stands still while the run does, or a pause would be taken for slowness.
        """
        self._passed.append((now_s, env_steps))
        while now_s - self._passed[0][0] > WINDOW_S and len(self._passed) > 2:
            self._passed.popleft()

    @property
    def steps_per_s(self) -> float | None:
        """None until it is known."""
        if not self._passed:
            return None
        (then, before), (now, steps) = self._passed[0], self._passed[-1]
        return (steps - before) / (now - then) if now - then >= LEAST_S else None


def in_words(seconds: float) -> str:
    """A duration as people say it: '45 s', '3 min', '2.5 h'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
