"""Replay: a ring of rows per environment copy, from which windows of consecutive rows are drawn.

Axis legend: T window length, B windows, E copies, R rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import CheckpointError
from trainer.experience.readable import everyone_heard
from trainer.experience.rows import Rows, empty_rows
from trainer.experience.settings import ReplaySettings
from trainer.experience.window import Window


class Replay:
    """Rings of equal capacity, one per copy; rows of one copy stay in order.

    Row r of a copy, counted from the beginning, lies at r modulo capacity.  Those from `_oldest` (or from the one that
    the head overwrites next, if that is later) up to `_written` are there.
    """

    def __init__(
        self,
        settings: ReplaySettings,
        spec: EnvironmentSpec,
        *,
        copies: int,
        keeps_state: bool = False,
        carried_size: int = 0,
    ) -> None:
        """What most algorithms never look at: with `keeps_state` the simulator's global state, and `carried_size`
        numbers that each agent carries from step to step."""
        self.settings, self.copies = settings, copies
        self.state_size = spec.state_size if keeps_state else 0
        self.carried_size = carried_size
        self.complete_graph = spec.complete_graph
        self.capacity = max(settings.capacity // copies, settings.window + 1)
        self._rows = empty_rows(spec, copies, self.capacity, state_size=self.state_size, carried_size=carried_size)
        self._written = np.zeros(copies, dtype=np.int64)
        self._oldest = np.zeros(copies, dtype=np.int64)
        self._read = np.zeros(copies, dtype=np.int64)

    def __len__(self) -> int:
        return int((self._written - self._first_kept()).sum())

    @property
    def ready(self) -> bool:
        """Enough rows for an update, and at least one whole window."""
        if len(self) < self.settings.minimum:
            return False
        return len(self._first_rows()[0]) > 0 if self.settings.start == "first" else bool(self._start_counts().any())

    def add(self, copies: np.ndarray, rows: Rows) -> None:
        """Append rows, each to the copy [R] beside it; those of one copy in the order in which they stand."""
        order = np.argsort(copies, kind="stable")
        counts = np.bincount(copies, minlength=self.copies)
        rank = np.arange(len(copies)) - np.repeat(np.cumsum(counts) - counts, counts)  # among the rows of its copy
        kept = rank >= counts[copies[order]] - self.capacity  # more than a ring holds would overwrite themselves
        order, rank = order[kept], rank[kept]
        copy = copies[order]
        place = copy, (self._written[copy] + rank) % self.capacity
        for name, ring in vars(self._rows).items():
            ring[place] = getattr(rows, name)[order]
        self._written += counts

    def discard(self, copy: int) -> None:
        """Take the rows of the episode that runs in a copy out again.

        What they overwrote is gone, so the oldest row stays where it is until the head has come around to it.
        """
        oldest = self._first_kept()[copy]
        begin = self._begin(copy)
        self._written[copy] = oldest if begin is None else begin
        self._oldest[copy] = oldest
        self._read[copy] = min(self._read[copy], self._written[copy])

    def running_actions(self, copy: int) -> np.ndarray | None:
        """Actions [n, N, ...] of the episode that runs in a copy; None if its beginning was overwritten."""
        begin = self._begin(copy)
        if begin is None:
            return None
        return self._rows.action[copy, np.arange(begin + 1, self._written[copy]) % self.capacity]

    def newest(self) -> Rows:
        """The last row of every copy, [E, ...]."""
        return self._rows.pick((np.arange(self.copies), (self._written - 1) % self.capacity))

    def sample(self, random: np.random.Generator) -> Window:
        """Draw a batch of windows, uniformly over all positions where one can start."""
        return self._window(*self._starts(random), length=self.settings.window)

    def newest_window(self, rows: int) -> Window | None:
        """The newest rows of all copies, about `rows` together, as one window of as many for each; None if a copy has
        none."""
        length = min(int((self._written - self._first_kept()).min()), -(-rows // self.copies))
        return self._window(np.arange(self.copies), self._written - length, length=length) if length else None

    def unread(self) -> tuple[Window, Tensor]:
        """What has been added since this was called last, and bool [T, E]: the rows that this means.

        One window of as many rows for each copy, that of a copy without so many new ones begins with others.  The row
        before a new one is always the one that it followed, so where that was overwritten, a row does not count as new.
        """
        begin = np.maximum(self._read, self._first_kept() + 1)
        length = min(max(int((self._written - begin).max()) + 1, 1), self.capacity)
        start = self._written - length
        self._read = self._written.copy()
        new = start + np.arange(length)[:, None] >= begin
        return self._window(np.arange(self.copies), start, length=length), torch.from_numpy(new)

    def _window(self, copies: np.ndarray, rows: np.ndarray, *, length: int) -> Window:
        """`length` rows from these on, of copies and rows [B]."""
        steps = np.arange(length)[:, None]
        picked = self._rows.pick((copies[None], (rows[None] + steps) % self.capacity))  # [T, B, ...]
        tensors = {name: torch.from_numpy(array) for name, array in vars(picked).items()}
        if self.complete_graph and everyone_heard(picked.hears):
            tensors["hears"] = None
        if not self.state_size:
            tensors["state"] = None
        if not self.carried_size:
            tensors["carried"] = None
        if not tensors["action"].is_floating_point():
            tensors["action"] = tensors["action"].long()
        return Window(**tensors)

    def _kept(self) -> dict[str, np.ndarray]:
        """The rings that hold something."""
        return {name: ring for name, ring in vars(self._rows).items() if ring.size}

    def _first_kept(self) -> np.ndarray:
        return np.maximum(self._oldest, self._written - self.capacity)

    def _begin(self, copy: int) -> int | None:
        """The first row of the episode that runs in a copy; None if it is no longer there."""
        rows = np.arange(self._first_kept()[copy], self._written[copy])
        begins = np.flatnonzero(self._rows.first[copy, rows % self.capacity])
        return int(rows[begins[-1]]) if begins.size else None

    def _start_counts(self) -> np.ndarray:
        """How many windows begin in each copy, int64 [E]."""
        return np.maximum(self._written - self._first_kept() - self.settings.window + 1, 0)

    def _starts(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Copies and rows [B] at which windows begin."""
        if self.settings.start == "first":
            copies, rows = self._first_rows()
            chosen = random.integers(len(copies), size=self.settings.batch)
            return copies[chosen], rows[chosen]
        counts = self._start_counts()
        ends = np.cumsum(counts)
        chosen = random.integers(ends[-1], size=self.settings.batch)
        copies = np.searchsorted(ends, chosen, side="right")
        return copies, (self._first_kept() - ends + counts)[copies] + chosen

    def _first_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies and rows of all beginnings of episodes that have a whole window after them."""
        rows = self._first_kept()[:, None] + np.arange(self.capacity)  # [E, capacity]
        found = np.take_along_axis(self._rows.first, rows % self.capacity, axis=1)
        copies, ages = np.nonzero(found & (np.arange(self.capacity) < self._start_counts()[:, None]))
        return copies, rows[copies, ages]

    def state(self) -> dict[str, np.ndarray]:
        """Everything, as arrays; rows that were never written are left out."""
        used = int(min(self._written.max(initial=0), self.capacity))
        rows = {name: ring[:, :used] for name, ring in self._kept().items()}
        counts = {"written": self._written, "oldest": self._oldest}
        return counts | ({"read": self._read} if self.carried_size else {}) | rows

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a saved state.  Raises CheckpointError if it is of a replay with other dimensions."""
        self._written, self._oldest = state["written"].copy(), state["oldest"].copy()
        if self.carried_size:
            self._read = state["read"].copy()
        for name, ring in self._kept().items():
            saved = state[name]
            if saved.shape[0] != ring.shape[0] or saved.shape[2:] != ring.shape[2:] or saved.shape[1] > self.capacity:
                raise CheckpointError(f"replay of the checkpoint has {name} of shape {saved.shape}, not {ring.shape}")
            ring[:, : saved.shape[1]] = saved
