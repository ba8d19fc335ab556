"""Where windows can begin among the rows that a replay keeps.

Axis legend: E copies, R rows of a ring, T rows of a window, B windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Copies and rows, of equal length."""


@dataclass(frozen=True, kw_only=True)
class Starts:
    """Rows are counted from the first that a copy ever had; those from `oldest` up to `written` are kept."""

    first: npt.NDArray[np.bool_]
    """bool [E, R]: the ring of first rows of episodes."""
    oldest: npt.NDArray[np.int64]
    """[E]."""
    written: npt.NDArray[np.int64]
    """[E]."""

    def counts(self, length: int) -> npt.NDArray[np.int64]:
        """How many whole windows there are in each copy, [E]."""
        counts: npt.NDArray[np.int64] = np.maximum(self.written - self.oldest - length + 1, 0)
        return counts

    def any_of(self, length: int, count: int, random: np.random.Generator) -> Places:
        """Copies and rows [B] at which `count` whole windows begin, uniformly drawn without listing them."""
        counts = self.counts(length)
        ends = np.cumsum(counts)
        chosen = random.integers(ends[-1], size=count)
        copies = np.searchsorted(ends, chosen, side="right")
        return copies, (self.oldest - ends + counts)[copies] + chosen

    def whole(self, length: int) -> Places:
        """Copies and rows of all whole windows."""
        return self._those(self._ages() < self.counts(length)[:, None])

    def of_episodes(self, length: int) -> Places:
        """Copies and rows of all beginnings of episodes that have a whole window after them."""
        return self._those(self._begins() & (self._ages() < self.counts(length)[:, None]))

    def of_steps(self, length: int) -> Places:
        """Copies and rows of all rows that an action followed in the same episode; the windows of an episode that still
        runs are whole."""
        ages, kept = self._ages(), (self.written - self.oldest)[:, None]
        begins = self._begins() & (ages < kept)
        followed = np.zeros_like(begins)
        followed[:, :-1] = ~begins[:, 1:] & (ages[:-1] < kept - 1)
        newest = np.where(begins, ages, -1).max(1, keepdims=True)  # where the episode that runs begins
        return self._those(followed & ((ages < newest) | (ages < self.counts(length)[:, None])))

    def whole_episodes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Copies, first rows and lengths in rows of all episodes that are over and whose rows are all kept."""
        kept = (self.written - self.oldest)[:, None]
        copies, ages = np.nonzero(self._begins() & (self._ages() < kept))
        over = copies[:-1] == copies[1:]  # another one has begun in the copy
        copies, begun, lengths = copies[:-1][over], ages[:-1][over], np.diff(ages)[over]
        return copies, self.oldest[copies] + begun, lengths

    def inside(self, copies: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.bool_]:
        """bool [T, B]: which rows of these windows belong to the episode that they begin in."""
        wanted = rows[None] + np.arange(length)[:, None]
        begins = self.first[copies[None], wanted % self.first.shape[1]]
        begins[0] = False
        inside: npt.NDArray[np.bool_] = (np.cumsum(begins, 0) == 0) & (wanted < self.written[copies])
        return inside

    def leading(self, copies: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.bool_]:
        """bool [count, B]: which of the rows before these, the nearest last, are kept and of the same episode."""
        wanted = rows[None] - np.arange(count + 1)[:, None]  # nearest first, from the rows themselves on
        begins = self.first[copies[None], wanted % self.first.shape[1]]
        there: npt.NDArray[np.bool_] = (np.cumsum(begins[:-1], 0) == 0) & (wanted[1:] >= self.oldest[copies])
        return there[::-1]

    def episodes(self, copies: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[B]: a number for the episode of each of these rows, the same for those of the same one."""
        begun = np.cumsum(self._begins(), axis=1)
        return copies * (self.first.shape[1] + 1) + begun[copies, rows - self.oldest[copies]]

    def _ages(self) -> npt.NDArray[np.int64]:
        return np.arange(self.first.shape[1])

    def _begins(self) -> npt.NDArray[np.bool_]:
        """bool [E, R]: first rows of episodes, from the oldest row on."""
        rows = self.oldest[:, None] + self._ages()
        return np.take_along_axis(self.first, rows % self.first.shape[1], axis=1)

    def _those(self, chosen: npt.NDArray[np.bool_]) -> Places:
        copies, ages = np.nonzero(chosen)
        return copies, self.oldest[copies] + ages
