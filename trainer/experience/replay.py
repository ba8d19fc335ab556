"""Replay: a ring of rows per environment copy, from which windows of consecutive rows are drawn, and written back to.

Axis legend: T window length, B windows, E copies, R rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import CheckpointError
from trainer.experience.batch import Batch, ByPriority, ByVisits, Index
from trainer.experience.chances import by_priority, by_visits
from trainer.experience.columns import PRIORITY, Column
from trainer.experience.readable import is_complete
from trainer.experience.rows import FIELDS, NO_COLUMNS, Rows, empty_rows
from trainer.experience.settings import ReplaySettings
from trainer.experience.starts import Starts
from trainer.experience.window import Window

_COUNTS = ("written", "oldest", "read", "learned")
"""Per copy, in a checkpoint."""
_NOT_THERE = -1
"""Serial of a padded row."""


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
        columns: Mapping[str, Column] = NO_COLUMNS,
    ) -> None:
        """`columns` are those that the algorithm adds to every row."""
        taken = {*FIELDS, *_COUNTS} & columns.keys()
        assert not taken, f"columns may not be called {taken}"
        self.settings, self.copies, self.columns = settings, copies, columns
        self.complete_graph = spec.complete_graph
        self.capacity = max(settings.capacity // copies, settings.window + 1)
        self._rows = empty_rows(spec, copies, self.capacity, columns=columns)
        self._written = np.zeros(copies, dtype=np.int64)
        self._oldest = np.zeros(copies, dtype=np.int64)
        self._read = np.zeros(copies, dtype=np.int64)
        self._learned = np.zeros(copies, dtype=np.int64)
        self._serial = np.zeros((copies, self.capacity), dtype=np.int64)  # which of all rows lies at a place
        self._serials = 0

    def __len__(self) -> int:
        return int((self._written - self._first_kept()).sum())

    @property
    def full(self) -> bool:
        """Whether every new row overwrites another one."""
        return bool((self._written >= self.capacity).all())

    @property
    def ready(self) -> bool:
        """Enough rows for an update, and at least one whole window."""
        if len(self) < self.settings.minimum:
            return False
        starts, length = self._starts(), self.settings.window
        if self.settings.start == "first":
            return len(starts.of_episodes(length)[0]) > 0
        return bool(starts.counts(length).any())

    def add(self, copies: npt.NDArray[Any], rows: Rows) -> None:
        """Append rows, each to the copy [R] beside it; those of one copy in the order in which they stand."""
        order = np.argsort(copies, kind="stable")
        counts = np.bincount(copies, minlength=self.copies)
        rank = np.arange(len(copies)) - np.repeat(np.cumsum(counts) - counts, counts)  # among the rows of its copy
        kept = rank >= counts[copies[order]] - self.capacity  # more than a ring holds would overwrite themselves
        order, rank = order[kept], rank[kept]
        copy = copies[order]
        place = copy, (self._written[copy] + rank) % self.capacity
        given = rows.arrays()
        if PRIORITY in self.columns:
            given[PRIORITY] = np.full(len(copies), self._highest_priority())
        for name, ring in self._rows.arrays().items():
            ring[place] = given[name][order]
        self._serial[place] = self._serials + np.arange(len(order))
        self._serials += len(order)
        self._written += counts

    def discard(self, copy: int) -> None:
        """Take the rows of the episode that runs in a copy out again.

        What they overwrote is gone, so the oldest row stays where it is until the head has come around to it.
        """
        oldest = self._first_kept()[copy]
        begin = self._begin(copy)
        self._written[copy] = oldest if begin is None else begin
        self._oldest[copy] = oldest
        for read in (self._read, self._learned):
            read[copy] = min(read[copy], self._written[copy])

    def running_actions(self, copy: int) -> npt.NDArray[Any] | None:
        """Actions [n, N, ...] of the episode that runs in a copy; None if its beginning was overwritten."""
        begin = self._begin(copy)
        if begin is None:
            return None
        actions: npt.NDArray[Any] = self._rows.action[copy, np.arange(begin + 1, self._written[copy]) % self.capacity]
        return actions

    def newest(self) -> Rows:
        """The last row of every copy, [E, ...]."""
        return self._rows.pick((np.arange(self.copies), (self._written - 1) % self.capacity))

    # Seven parameters: what is drawn, how much, and from where, each by its name.
    def sample(
        self,
        random: np.random.Generator,
        *,
        batch: int | None = None,
        length: int | None = None,
        by: Literal["uniform"] | ByPriority | ByVisits = "uniform",
        pad: bool = False,
        before: int = 0,
        start: Literal["anywhere", "first"] | None = None,
    ) -> Batch:
        """Draw `batch` windows of `length` rows (as many as the settings say), with replacement but for `ByVisits`.

        They begin where `start` or else the settings say.  With `pad` they begin at any row that an action followed,
        and end with its episode: its last row is repeated, without reward, as often as there is nothing more.  `before`
        more rows lead up to each; where an episode has not so many, its first one (or the first that is kept) is
        repeated.
        """
        count, length = batch or self.settings.batch, length or self.settings.window
        starts, weight = self._starts(), np.ones(count, np.float32)
        first = (start or self.settings.start) == "first"
        if by == "uniform" and not pad and not first:
            copies, rows = starts.any_of(length, count, random)
        else:
            if pad:
                copies, rows = starts.of_steps(length)
            else:
                copies, rows = (starts.of_episodes if first else starts.whole)(length)
            if by == "uniform":
                chosen = random.integers(len(copies), size=count)
            elif isinstance(by, ByVisits):
                visits = self._rows.columns[by.column]
                chosen = by_visits(visits[copies, rows % self.capacity], count, random)
                np.add.at(visits, (copies[chosen], rows[chosen] % self.capacity), 1)
            else:
                priority = self._rows.columns[PRIORITY][copies, rows % self.capacity]
                chosen, weight = by_priority(priority, by, count, random)
            copies, rows = copies[chosen], rows[chosen]
        inside = starts.inside(copies, rows, length) if pad else np.ones((length, count), bool)
        led = starts.leading(copies, rows, before) if before else np.ones((0, count), bool)
        return self._batch(copies, rows, np.concatenate([led, inside]), weight, before=before)

    def has_steps(self, length: int) -> bool:
        """Whether padded windows of so many rows can be drawn."""
        return self._starts().of_steps(length)[0].size > 0

    def whole_episodes(self) -> int:
        """How many episodes are over and kept from their first row to their last one."""
        return len(self._starts().whole_episodes()[0])

    def episodes(self, random: np.random.Generator, *, batch: int | None = None) -> Batch:
        """Draw `batch` whole episodes (as many as the settings say), uniformly, with replacement.

        There are as many rows as the longest has; the last row of the others is repeated, without reward, and is not
        inside then.
        """
        copies, rows, lengths = self._starts().whole_episodes()
        chosen = random.integers(len(copies), size=batch or self.settings.batch)
        copies, rows, lengths = copies[chosen], rows[chosen], lengths[chosen]
        inside = np.arange(lengths.max())[:, None] < lengths
        return self._batch(copies, rows, inside, np.ones(len(copies), np.float32), before=0)

    def histories(
        self, random: np.random.Generator, *, batch: int, length: int, over: Literal["steps", "episodes"] = "steps"
    ) -> Batch:
        """Draw `batch` windows that end with a row that an action followed; rows before its episode are not inside.

        Uniformly over such rows, or over episodes and then over those of their rows that the first agent's end is not
        before.
        """
        starts = self._starts()
        copies, rows = starts.of_steps(1)
        terminated = self._rows.terminated[copies, rows % self.capacity]
        alive = ~(terminated[:, 0] if over == "episodes" else terminated.all(1))
        copies, rows = copies[alive], rows[alive]
        share = None
        if over == "episodes":
            _, episode, counts = np.unique(starts.episodes(copies, rows), return_inverse=True, return_counts=True)
            share = 1 / (len(counts) * counts[episode])
        chosen = random.choice(len(copies), size=batch, p=share)
        copies, rows = copies[chosen], rows[chosen]
        led, here = starts.leading(copies, rows, length - 1), np.ones((1, batch), bool)
        inside = np.concatenate([led, here])
        return self._batch(copies, rows, inside, np.ones(batch, np.float32), before=length - 1)

    def futures(self, random: np.random.Generator, *, batch: int, before: int, after: int, newest: int) -> Batch | None:
        """Draw `batch` windows around rows whose next `after` rows are known, or as many as there are; None: none.

        They are among the `newest` rows of all copies together, where a team has a future; `before` rows lead up to
        each as in `sample`.  Where an episode ended of itself sooner, its last row is repeated without reward; starts
        whose future was cut off, by a time limit or as the episode still runs, are left out.
        """
        starts = self._starts()
        copies, rows = starts.of_steps(after + 1)
        recent = (self._written[copies] - rows) * self.copies <= newest
        copies, rows = copies[recent], rows[recent]
        count = starts.inside(copies, rows, after + 1).sum(0)

        def over(at: npt.NDArray[Any]) -> npt.NDArray[Any]:
            over: npt.NDArray[Any] = self._rows.terminated[copies, at % self.capacity].all(1)
            return over

        known = ((count == after + 1) | over(rows + count - 1)) & ~over(rows)
        copies, rows = copies[known], rows[known]
        if not copies.size:
            return None
        chosen = random.permutation(copies.size)[:batch]
        return self.around(copies[chosen], rows[chosen], before=before, after=after)

    def around(self, copies: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], *, before: int, after: int) -> Batch:
        """Windows around the rows [B] of copies [B], counted from the first that each ever had, of which all are kept;
        `before` lead up to each, `after` follow, both as in `sample` with `pad`."""
        starts = self._starts()
        inside = np.concatenate([starts.leading(copies, rows, before), starts.inside(copies, rows, after + 1)])
        return self._batch(copies, rows, inside, np.ones(copies.size, np.float32), before=before)

    def update(self, index: Index, column: str, values: npt.NDArray[Any] | Tensor) -> None:
        """Write values [..., *shape] of a column to the rows of an index [...] that are still there."""
        given = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        there = self._serial[index.copy, index.place] == index.serial
        self._rows.columns[column][index.copy[there], index.place[there]] = given[there]

    def newest_window(self, rows: int) -> Window | None:
        """The newest rows of all copies, about `rows` together, as one window of as many for each; None if a copy has
        none."""
        length = min(int((self._written - self._first_kept()).min()), -(-rows // self.copies))
        return self._window(np.arange(self.copies), self._newest(length)) if length else None

    def observed_range(self) -> tuple[float, float]:
        """The least and the largest number in the observations that are kept; (inf, -inf) if there are none."""
        lowest, highest, kept = np.inf, -np.inf, self._first_kept()
        for copy, ring in enumerate(self._rows.observation):
            rows = ring[np.arange(kept[copy], self._written[copy]) % self.capacity]
            lowest, highest = min(lowest, rows.min(initial=np.inf)), max(highest, rows.max(initial=-np.inf))
        return float(lowest), float(highest)

    def unread(self, *, leading: int = 1) -> tuple[Window, Tensor]:
        """What has been added since this was called last, up to `leading` rows before it, and bool [T, E]: what is new.

        One window of as many rows for each copy, that of a copy without so many new ones begins with others.  The row
        before a new one is always the one that it followed, so where that was overwritten, a row does not count as new.
        """
        found = self._since(self._read, leading=leading)
        self._read = self._written.copy()
        return found

    def unlearned(self, *, leading: int) -> tuple[Window, Tensor]:
        """The same since this was called last, with up to `leading` rows before; whoever reads the one, not the other,
        takes nothing from it."""
        found = self._since(self._learned, leading=leading)
        self._learned = self._written.copy()
        return found

    def _since(self, read: npt.NDArray[Any], *, leading: int) -> tuple[Window, Tensor]:
        begin = np.maximum(read, self._first_kept() + 1)
        length = min(max(int((self._written - begin).max()) + leading, 1), self.capacity)
        new = self._written - length + np.arange(length)[:, None] >= begin
        return self._window(np.arange(self.copies), self._newest(length)), torch.from_numpy(new)

    def _batch(
        self,
        copies: npt.NDArray[Any],
        rows: npt.NDArray[Any],
        inside: npt.NDArray[Any],
        weight: npt.NDArray[Any],
        *,
        before: int,
    ) -> Batch:
        """Windows that begin at copies and rows [B], as far as they are `inside` [T, B] of an episode; the first
        `before` of their rows lead up to them."""
        offsets = np.arange(len(inside))[:, None] - before
        offsets = np.clip(offsets, -inside[:before].sum(0), inside[before:].sum(0) - 1)
        places = (rows + offsets) % self.capacity  # [T, B]
        window = self._window(copies, places)
        if not inside[before:].all():
            beyond = ~torch.from_numpy(inside)
            beyond[:before] = False
            window.reward[beyond] = 0.0
            window.first[beyond] = False
        age = (self._written[copies] - rows) * self.copies
        copies = np.broadcast_to(copies, places.shape)
        serial = np.where(inside, self._serial[copies, places], _NOT_THERE)
        return Batch(
            window=window,
            index=Index(copy=copies, place=places, serial=serial),
            weight=torch.from_numpy(weight),
            inside=torch.from_numpy(inside),
            age=torch.from_numpy(age),
        )

    def _window(self, copies: npt.NDArray[Any], places: npt.NDArray[Any]) -> Window:
        """The rows at places [T, B] of copies [B]."""
        picked = self._rows.pick((copies[None], places))  # [T, B, ...]
        tensors: dict[str, Any] = {name: torch.from_numpy(getattr(picked, name)) for name in FIELDS}
        if self.complete_graph and is_complete(picked.hears):
            tensors["hears"] = None
        if not tensors["action"].is_floating_point():
            tensors["action"] = tensors["action"].long()
        return Window(**tensors, columns={name: torch.from_numpy(array) for name, array in picked.columns.items()})

    def _newest(self, length: int) -> npt.NDArray[Any]:
        """Places [T, E] of the newest rows of every copy."""
        places: npt.NDArray[Any] = (self._written - length + np.arange(length)[:, None]) % self.capacity
        return places

    def _highest_priority(self) -> float:
        """Of the rows that windows can begin at; 1 if there are none.  Others are never drawn, so theirs never fall."""
        copies, rows = self._starts().of_steps(1)
        return float(self._rows.columns[PRIORITY][copies, rows % self.capacity].max(initial=0.0)) or 1.0

    def _starts(self) -> Starts:
        return Starts(first=self._rows.first, oldest=self._first_kept(), written=self._written)

    def _first_kept(self) -> npt.NDArray[Any]:
        return np.maximum(self._oldest, self._written - self.capacity)

    def _begin(self, copy: int) -> int | None:
        """The first row of the episode that runs in a copy; None if it is no longer there."""
        rows = np.arange(self._first_kept()[copy], self._written[copy])
        begins = np.flatnonzero(self._rows.first[copy, rows % self.capacity])
        return int(rows[begins[-1]]) if begins.size else None

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything, as arrays; rows that were never written are left out."""
        used = int(min(self._written.max(initial=0), self.capacity))
        rows = {name: ring[:, :used] for name, ring in self._rows.arrays().items()}
        counts = {"written": self._written, "oldest": self._oldest, "read": self._read, "learned": self._learned}
        return counts | rows

    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Take over a saved state.  Raises CheckpointError if it is of a replay with other dimensions."""
        if missing := self.columns.keys() - state.keys():
            raise CheckpointError(f"replay of the checkpoint has no {' and no '.join(sorted(missing))}")
        self._written, self._oldest = state["written"].copy(), state["oldest"].copy()
        # Older checkpoints have none where rows are not read once, but drawn.
        self._read = state["read"].copy() if "read" in state else np.zeros_like(self._written)
        self._learned = state["learned"].copy() if "learned" in state else self._written.copy()
        for name, ring in self._rows.arrays().items():
            saved = state[name]
            if saved.shape[0] != ring.shape[0] or saved.shape[2:] != ring.shape[2:] or saved.shape[1] > self.capacity:
                raise CheckpointError(f"replay of the checkpoint has {name} of shape {saved.shape}, not {ring.shape}")
            ring[:, : saved.shape[1]] = saved
        # What an index of before means is not here any more.
        self._serial = self._serials + np.arange(self._serial.size).reshape(self._serial.shape)
        self._serials += self._serial.size
