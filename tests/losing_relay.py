"""The relay task with a simulator that dies: episodes of the seeds in `LOSSES` are lost at their second step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heliograph.environments.relay import RelayEnvironment, RelaySettings
from heliograph.environments.vector import AgentInputs, Transition

LOSSES: dict[int, int] = {}
"""Seed to how often its episode is still going to be lost; tests fill it, and it counts down."""


class LosingRelay(RelayEnvironment):
    def __init__(self, settings: RelaySettings, *, id: str, count: int) -> None:
        super().__init__(settings, id=id, count=count)
        self._seeds = np.zeros(count, dtype=np.int64)
        self._made = np.zeros(count, dtype=np.int64)

    def reset(self, seeds: np.ndarray, copies: np.ndarray | None = None) -> AgentInputs:
        chosen = np.arange(self.count) if copies is None else copies
        self._seeds[chosen], self._made[chosen] = seeds, 0
        return super().reset(seeds, copies)

    def step(self, actions: np.ndarray) -> Transition:
        transition = super().step(actions)
        self._made += 1
        lost = np.zeros(self.count, dtype=bool)
        for copy, seed in enumerate(self._seeds.tolist()):
            if self._made[copy] == 2 and LOSSES.get(seed, 0) > 0:
                LOSSES[seed] -= 1
                lost[copy] = True
        outcome = np.where(lost, np.nan, transition.outcome).astype(np.float32)
        return replace(transition, lost=lost, over=transition.over | lost, outcome=outcome)
