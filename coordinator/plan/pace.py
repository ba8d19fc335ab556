"""How long a run waits for what, and when its steps start.  Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.plan.options import check, option
from heliograph.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long to wait for what, and when steps start."""

    message_deadline_s: float = option(
        1.0, "seconds that a node waits for messages", above=0, unit="s", identifies=False
    )
    action_deadline_s: float = option(
        5.0,
        "seconds that the world waits for a node's action; then it goes on without",
        above=0,
        unit="s",
        identifies=False,
    )
    period_s: float | None = option(
        None,
        "start steps on a clock with this period; default: as soon as the step before is done",
        above=0,
        unit="s",
        identifies=False,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.message_deadline_s >= self.action_deadline_s:
            raise SettingsError(
                f"message_deadline_s {self.message_deadline_s:g} must be shorter than "
                f"action_deadline_s {self.action_deadline_s:g}",
                remedy="A node acts only after it has waited for its messages",
            )
