"""A small replay, and a model of which of its rows are still there while episodes come, go around, and are lost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from heliograph.environments.vector import EnvironmentSpec
from trainer.experience.columns import Column, state_column
from trainer.experience.replay import Replay
from trainer.experience.rows import empty_rows
from trainer.experience.settings import ReplaySettings

COPIES, AGENTS, EPISODE = 3, 2, 5
"""Rows in the episodes below."""


def spec(*, complete: bool = False, observation_size: int = 3) -> EnvironmentSpec:
    return EnvironmentSpec(
        id="numbered",
        agents=AGENTS,
        observation_size=observation_size,
        actions=4,
        episode_limit=EPISODE,
        complete_graph=complete,
        outcome="won",
        state_size=2,
    )


def replay_of(
    *, complete: bool = False, keeps_state: bool = False, columns: Mapping[str, Column] | None = None, **changes: object
) -> Replay:
    numbers = {"capacity": 36, "window": 4, "batch": 64, "minimum": 8}
    settings = ReplaySettings.model_validate({**numbers, **changes})
    declared = dict(columns or {}) | (state_column(spec()) if keeps_state else {})
    return Replay(settings, spec(complete=complete), copies=COPIES, columns=declared)


SPEC = spec()


class Episodes:
    """Writes episodes some of which are lost; keeps a list of what should be left, and a ring of its own."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.serial = 0
        self.left: list[list[int]] = [[] for _ in range(COPIES)]
        self.begun = [0] * COPIES
        self.slots: list[dict[int, int]] = [{} for _ in range(COPIES)]

    def write(self, copy: int, *, first: bool) -> None:
        if first:
            self.begun[copy] = len(self.left[copy])
        place = np.array([[copy, self.serial, 0]])
        rows = empty_rows(SPEC, 1, columns=self.replay.columns)
        rows.observation[:] = place[:, None]
        rows.first[:] = first
        self.replay.add(np.array([copy]), rows)
        self.slots[copy][len(self.left[copy]) % self.replay.capacity] = self.serial
        self.left[copy].append(self.serial)
        self.serial += 1

    def lose(self, copy: int) -> None:
        self.replay.discard(copy)
        del self.left[copy][self.begun[copy] :]

    def intact(self, copy: int) -> list[int]:
        """The newest rows that nothing has overwritten, not even an episode that was lost."""
        rows = self.left[copy]
        kept = [self.slots[copy][number % self.replay.capacity] == serial for number, serial in enumerate(rows)]
        return rows[len(rows) - kept[::-1].index(False) if False in kept else 0 :]
