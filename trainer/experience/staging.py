"""What was collected and is not in replay yet, so that replay can be sampled while more is collected.

Axis legend: E copies, R rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.vector import EnvironmentSpec
from trainer.experience.columns import Column
from trainer.experience.rows import Rows, empty_rows

_ROWS_AT_FIRST = 256
_NOBODY = -1


class StagingBuffer:
    """Rows of all copies in the order in which they came; rows of a lost episode leave again."""

    def __init__(self, spec: EnvironmentSpec, *, columns: Mapping[str, Column]) -> None:
        self._spec, self._columns = spec, columns
        self._rows = self._empty(_ROWS_AT_FIRST)
        self._copies = np.full(_ROWS_AT_FIRST, _NOBODY, dtype=np.int64)
        self._size = 0
        self._lost: set[int] = set()

    def __len__(self) -> int:
        return self._size

    def add(self, copies: npt.NDArray[Any], rows: Rows) -> None:
        """Append a row for each of `copies` (indices)."""
        begin, end = self._size, self._size + len(copies)
        if end > len(self._copies):
            self._grow(end)
        self._copies[begin:end] = copies
        given = rows.arrays()
        for name, array in self._rows.arrays().items():
            array[begin:end] = given[name]
        self._size = end

    def discard(self, copy: int) -> None:
        """Drop the rows of the episode that runs in a copy; those in replay are dropped when it takes over."""
        own = np.flatnonzero(self._copies[: self._size] == copy)
        begins = own[self._rows.first[own]]
        if begins.size:
            own = own[own >= begins[-1]]
        else:
            self._lost.add(copy)
        self._copies[own] = _NOBODY

    def take(self) -> tuple[list[int], npt.NDArray[Any], Rows]:
        """Empty it: copies whose episode in replay was lost; then the copy of each row [R], and the rows."""
        kept = self._copies[: self._size] != _NOBODY
        chosen = slice(0, self._size) if kept.all() else np.flatnonzero(kept)
        taken = sorted(self._lost), self._copies[chosen], self._rows.pick(chosen)
        self._lost = set()
        self._size = 0
        return taken

    def _grow(self, needed: int) -> None:
        length = max(needed, 2 * len(self._copies))
        rows, copies = self._empty(length), np.full(length, _NOBODY, dtype=np.int64)
        copies[: self._size] = self._copies[: self._size]
        before = self._rows.arrays()
        for name, array in rows.arrays().items():
            array[: self._size] = before[name][: self._size]
        self._rows, self._copies = rows, copies

    def _empty(self, length: int) -> Rows:
        return empty_rows(self._spec, length, columns=self._columns)
