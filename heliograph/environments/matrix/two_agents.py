"""What the matrix games share: two agents choose at once, step by step, until the clock ends the episode.

Nothing is drawn, so that an episode is the same for every seed, and both agents get what both have chosen.

Axis legend: E copies, N = 2 agents, D observation, A actions.
"""

from __future__ import annotations

from abc import abstractmethod
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

AGENTS = 2


class TwoAgentGame(VectorEnvironment):
    """Vectorised over copies; what a choice pays and what is seen of the game is left to each."""

    def __init__(self, spec: EnvironmentSpec, *, count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.count, self._spec = count, spec
        self._step = np.full(count, spec.episode_limit, dtype=np.int64)  # as after an episode: nothing runs yet
        self._return = np.zeros(count)
        self._chosen = np.full((count, AGENTS), -1, dtype=np.int64)  # -1: nothing yet

    @abstractmethod
    def _pay(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """What the choices [E, N] of a step pay, [E]; the game goes on with them."""

    @abstractmethod
    def _seen(self) -> npt.NDArray[Any]:
        """What both agents see of the game beside who they are, [E, D - N]."""

    def _begin(self, copies: npt.NDArray[np.int64]) -> None:
        """Begin the game anew in `copies`."""

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment.  The seeds change nothing."""
        chosen, _ = checked_seeds(seeds, copies, count=self.count)
        self._step[chosen], self._return[chosen], self._chosen[chosen] = 0, 0.0, -1
        self._begin(chosen)
        return self._agent_inputs()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._step < self.spec.episode_limit)
        self._chosen[:] = checked_actions(actions, mask=self._all_legal())
        paid = self._pay(self._chosen)
        self._step += 1
        self._return += paid
        over = self._step >= self.spec.episode_limit
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=np.repeat(paid[:, None], AGENTS, axis=1).astype(np.float32),
            terminated=np.repeat(over[:, None], AGENTS, axis=1),
            truncated=np.zeros(self.count, dtype=bool),
            over=over,
            outcome=np.where(over, self._return, np.nan).astype(np.float32),
            lost=np.zeros(self.count, dtype=bool),
        )

    def _all_legal(self) -> npt.NDArray[np.bool_]:
        return np.ones((self.count, AGENTS, self.spec.actions), dtype=bool)

    def _agent_inputs(self) -> AgentInputs:
        present = np.repeat((self._step < self.spec.episode_limit)[:, None], AGENTS, axis=1)
        observation = np.zeros((self.count, AGENTS, self.spec.observation_size), dtype=np.float32)
        observation[..., :AGENTS] = np.eye(AGENTS)
        observation[..., AGENTS:] = self._seen()[:, None]
        return AgentInputs(
            observation=observation * present[..., None],
            action_mask=self._all_legal(),
            hears=np.broadcast_to(~np.eye(AGENTS, dtype=bool), (self.count, AGENTS, AGENTS)).copy(),
            present=present,
        )
