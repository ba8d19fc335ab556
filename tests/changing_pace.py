"""A pace that a test changes while an episode goes on: in haste where silence is what it is about, else patient."""

from __future__ import annotations

from coordinator.plan.pace import Pace


class ChangingPace(Pace):
    """That of `now`, which `change` replaces."""

    now: Pace

    def __init__(self, now: Pace) -> None:
        self.change(now)

    def change(self, now: Pace) -> None:
        object.__setattr__(self, "now", now)

    @property
    def action_deadline_s(self) -> float:  # type: ignore[override]
        return self.now.action_deadline_s

    @property
    def message_deadline_s(self) -> float:  # type: ignore[override]
        return self.now.message_deadline_s
