"""What an agent tells its neighbours at one step, and what it decided.  Imported by every part of the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heliograph.actions import Action

Label = tuple[int, int]
"""(episode, step) of a message: their order, and what tells one from another."""


class Message(NamedTuple):
    """The latent and the action that an agent chose at (episode, step); its receivers read it at step + 1.

    A tuple, since one is made for every arrival, which takes a frozen dataclass three times as long.
    """

    episode: int
    step: int
    latent: npt.NDArray[np.int32]
    """int32 [K], each id in 0..C-1."""
    action: Action
    age: int = 0
    """How many steps before `step` this was said, where it stands for a message that is not there and its receiver
    predicts that one from it; never sent."""

    @property
    def label(self) -> Label:
        return self.episode, self.step


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the step function chose (A actions, or k dimensions of a continuous one)."""

    action: Action
    message: Message | None
    """For the neighbours; None if there is nothing to tell: the bundle's algorithm does not communicate, or what it
    would say is withheld (`heliograph.sending`)."""
    logits: npt.NDArray[np.float32]
    """float32 [A], of the action; illegal ones are far below the others.  Of a continuous one [2k]: means and raw
    deviations."""
