"""Times for which the world stood still, since nodes were cut off from the coordinator.  Imported by `team`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One such time.  Its episode went on where it stood."""

    episode: int | None
    """None: it was between two episodes."""
    step: int | None
    slots: tuple[int, ...]
    """Who was cut off."""
    back: tuple[int, ...]
    """Who of them came back; the team went on without the others."""
    seconds: float


def in_words(cuts: tuple[Cut, ...]) -> str:
    """A sentence for the report of at least one cut."""
    times = "once" if len(cuts) == 1 else f"{len(cuts)} times"
    slots = sorted({slot for cut in cuts for slot in cut.slots})
    lost = sorted({slot for cut in cuts for slot in set(cut.slots) - set(cut.back)})
    fate = f"without slots {lost}, which did not come back in time" if lost else "where they stood"
    return (
        f"The world was paused {times}, for {sum(cut.seconds for cut in cuts):.1f} s in all, while slots {slots} were "
        f"cut off from the coordinator; episodes went on {fate}, and times are without the pauses."
    )
