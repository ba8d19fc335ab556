"""Bookkeeping for tasks whose episodes are drawn when they begin: seeds, steps, ends.

What happens in an episode is then a function of its seed and the actions, and all copies step in one go.

Axis legend: E copies, N agents of a team, D observation size, A actions.
For `heliograph.environments` only.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.vector import (
    AgentInputs,
    EnvironmentSpec,
    Transition,
    VectorEnvironment,
    check_running,
    checked_actions,
    checked_seeds,
)
from heliograph.errors import WorldError


@dataclass(frozen=True, kw_only=True)
class Advance:
    """What one step did, in all copies."""

    reward: npt.NDArray[np.floating[Any]]
    """float [E, N]."""
    outcome: npt.NDArray[np.floating[Any]]
    """float [E]: what the episode comes to if it ends now."""
    decided: npt.NDArray[np.bool_]
    """bool [E]: the episode has ended, and not by its time limit."""


class DrawnTask(VectorEnvironment):
    """A task draws a copy's episode when it begins, applies actions and says what the agents see.

    Everyone is there at every step.
    """

    def __init__(self, *, count: int, spec: EnvironmentSpec) -> None:
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.count, self._spec = count, spec
        self.step_number = np.zeros(count, dtype=np.int64)
        """int [E], steps that the running episode of each copy has had."""
        self._running = np.zeros(count, dtype=bool)

    @abstractmethod
    def _begin(self, copy: int, random: np.random.Generator) -> None:
        """Draw what chance does in an episode of one copy, and set its start."""

    @abstractmethod
    def _advance(self, actions: npt.NDArray[np.integer[Any]]) -> Advance:
        """Apply legal actions [E, N]; `step_number` is still that before the step."""

    @abstractmethod
    def _observe(self) -> npt.NDArray[np.float32]:
        """float32 [E, N, D]."""

    @abstractmethod
    def _hears(self) -> npt.NDArray[np.bool_]:
        """bool [E, N, N], false on the diagonal."""

    def _action_mask(self) -> npt.NDArray[np.bool_]:
        """bool [E, N, A]."""
        return np.ones((self.count, self.spec.agents, self.spec.actions), dtype=bool)

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        for copy, seed in zip(chosen.tolist(), given.tolist(), strict=True):
            self._begin(copy, np.random.Generator(np.random.Philox(seed)))
        self.step_number[chosen], self._running[chosen] = 0, True
        return self._agent_inputs()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._running)
        found = self._advance(checked_actions(actions, mask=self._action_mask()))
        self.step_number += 1
        truncated = ~found.decided & (self.step_number >= self.spec.episode_limit)
        over = found.decided | truncated
        self._running = ~over
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=found.reward.astype(np.float32),
            terminated=np.repeat(found.decided[:, None], self.spec.agents, axis=1),
            truncated=truncated,
            over=over,
            outcome=np.where(over, found.outcome, np.nan).astype(np.float32),
            lost=np.zeros(self.count, dtype=bool),
        )

    def _agent_inputs(self) -> AgentInputs:
        return AgentInputs(
            observation=self._observe(),
            action_mask=self._action_mask(),
            hears=self._hears(),
            present=np.ones((self.count, self.spec.agents), dtype=bool),
        )


def everyone_but_oneself(copies: int, agents: int) -> npt.NDArray[np.bool_]:
    """bool [E, N, N]."""
    return np.repeat(~np.eye(agents, dtype=bool)[None], copies, axis=0)


def chebyshev(place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int [E, N, N]: cells that a king needs between places [E, N, 2]."""
    cells: npt.NDArray[np.int64] = np.abs(place[:, :, None] - place[:, None]).max(-1)
    return cells
