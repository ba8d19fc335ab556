"""Batches that are being searched by other processes, in the order in which they will be learned from.

Which batches are drawn when, and with which weights and draws they are searched, does not depend on how fast anyone is,
so runs repeat, bit for bit, with any number of workers.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import torch

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.mazero.found import Found
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.search_pool import SearchPool
from trainer.algorithms.mazero.search_worker import Arrays, SearchRequest
from trainer.algorithms.mazero.settings import MazeroSettings
from trainer.algorithms.mazero.targets import merged, rows_to_search
from trainer.algorithms.mazero.windows import Steps
from trainer.experience.batch import Batch
from trainer.nets.random_states import Check


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A batch whose policies have been searched anew."""

    batch: Batch
    steps: Steps
    policy: Found
    """[V, B, ...]."""
    metrics: dict[str, float]
    """How stale it is, and how long it was waited for."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    batch: Batch
    steps: Steps
    number: int | None
    """Of the request; None where there is nothing to search."""
    updates: int
    version: int


class Reanalysis:
    """Owns the pool."""

    def __init__(self, settings: MazeroSettings, spec: EnvironmentSpec) -> None:
        self.settings = settings
        self.pool = SearchPool(settings, spec)
        self._asked: deque[_Asked] = deque()
        self._weights: tuple[int, Arrays] = (-1, {})

    @property
    def in_flight(self) -> int:
        """Batches that were begun and not learned from."""
        return len(self._asked)

    def begin(self, batch: Batch, steps: Steps, delayed: MazeroModel, *, updates: int) -> None:
        """Have a batch searched with the delayed network as it is after so many updates."""
        version = updates // self.settings.target_every
        windows, at = rows_to_search(steps, self.settings)
        number = None
        if len(windows):
            request = SearchRequest(
                weights=None,
                seen=steps.seen[at, windows].cpu().numpy(),
                legal=steps.legal[at, windows].cpu().numpy(),
                seed=int(torch.randint(2**62, ())),
            )
            number = self.pool.ask(request, self._weights_of(delayed, version), version=version)
        self._asked.append(_Asked(batch=batch, steps=steps, number=number, updates=updates, version=version))

    def next(self, check: Check, *, updates: int) -> Searched:
        """The batch that was begun first, after so many updates.  What `check` raises leaves the wait for it."""
        asked, began = self._asked[0], time.monotonic()
        anew = None
        if asked.number is not None:
            like = asked.steps.seen
            arrays = self.pool.answer(asked.number, check)
            anew = Found(**{name: torch.from_numpy(array).to(like.device) for name, array in arrays.items()})
        self._asked.popleft()
        return Searched(
            batch=asked.batch,
            steps=asked.steps,
            policy=merged(asked.steps, anew, self.settings),
            metrics={
                "reanalysis/updates_behind": float(updates - asked.updates),
                "reanalysis/renewals_behind": float(updates // self.settings.target_every - asked.version),
                "time/reanalysis_wait_s": time.monotonic() - began,
            },
        )

    def close(self) -> None:
        """End the processes, and forget the batches; a later `begin` starts others."""
        self._asked.clear()
        self.pool.close()

    def _weights_of(self, delayed: MazeroModel, version: int) -> Arrays:
        if self._weights[0] != version:
            state = {name: value.detach().cpu().numpy().copy() for name, value in delayed.state_dict().items()}
            self._weights = (version, state)
        return self._weights[1]
