"""What is drawn from replay: windows, how much each counts, and where its rows are, to write back to them.

Axis legend: T rows of a window, B windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.experience.window import Window


@dataclass(frozen=True, kw_only=True)
class ByPriority:
    """Windows begin at a row with a probability that grows with its priority (Schaul et al. 2016)."""

    exponent: float = 1.0
    """Of the priority; 0 draws uniformly."""
    correction: float = 0.0
    """How far the weights make up for it: 0 not at all, 1 wholly."""


@dataclass(frozen=True, kw_only=True)
class ByVisits:
    """Windows begin at a row with the probability 1 - visits / all visits, each row at most once in a batch (as the
    released code of MARIE draws); which makes rows that were seldom drawn hardly likelier than others."""

    column: str
    """Of rows, where it is counted how often a window has begun at them."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """Rows of replay.  One that has been overwritten since, or whose episode was lost, is not written back to."""

    copy: npt.NDArray[np.int64]
    """int64 [...]."""
    place: npt.NDArray[np.int64]
    """int64 [...] in the ring of the copy."""
    serial: npt.NDArray[np.int64]
    """int64 [...]: which of the rows that have lain there; -1 where a window is padded."""

    def at(self, chosen: Any) -> Index:
        """Some of them, by anything that indexes an array: `at(0)` are the first rows of the windows, [B]."""
        return Index(copy=self.copy[chosen], place=self.place[chosen], serial=self.serial[chosen])


@dataclass(frozen=True, kw_only=True)
class Batch:
    window: Window
    index: Index
    """[T, B]."""
    weight: Tensor
    """float [B], at most 1: what a window's loss counts for, so that what is drawn more often counts no more."""
    inside: Tensor
    """bool [T, B]: false where a row stands for what lies beyond the end of an episode, or before its beginning."""
    age: Tensor
    """int64 [B]: about how many rows have come since a window's first one; 1 for the newest of a single copy."""

    def to(self, device: torch.device) -> Batch:
        """The same on a device; the index stays where replay is."""
        return Batch(
            window=self.window.to(device),
            index=self.index,
            weight=self.weight.to(device),
            inside=self.inside.to(device),
            age=self.age.to(device),
        )
