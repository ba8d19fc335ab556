"""Which messages of a window were made, and which of them were sent.

Axis legend: T time, B windows, N agents.
"""

from __future__ import annotations

from torch import Tensor

from trainer.experience.links import SENT
from trainer.experience.window import Window


def messages_made(window: Window) -> Tensor:
    """bool [T, B, N]: rows at which an agent acted, neither after its end nor where its episode closes, and of which
    the window tells whether it sent its message."""
    goes_on = ~window.first & window.present.any(-1)  # [T, B]: after the row before
    found = window.present.clone()
    found[:-1] &= goes_on[1:].unsqueeze(-1)
    if SENT in window.columns:
        # A row tells what was sent of the row before; nothing is known of the last one yet.
        found[-1] = False
    return found


def messages_sent(window: Window, *, made: Tensor | None = None) -> Tensor:
    """bool [T, B, N]: those of `messages_made` that were sent and not withheld; `made` are these, if they are known."""
    found = messages_made(window) if made is None else made
    if SENT not in window.columns:
        return found
    found = found.clone()
    found[:-1] &= window.columns[SENT][1:]
    return found
