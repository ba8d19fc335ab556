"""The two-step game of QMIX's paper: which of two matrix games is played, and then that game.

Agent 0's first choice decides alone: action 0 leads to a table that pays 7 whatever is chosen, action 1 to one that
pays 8 for the best joint choice and less than 7 for all others (Rashid et al. 2018, §5).  Who values joint choices as a
sum of the agents' own values thinks the second table worth less than 7, and earns 7; who can value them monotonically
earns 8.  Both agents see the game's state, so nothing has to be told, and nothing is drawn: `blind_bound` is 8.

Axis legend: E copies, N = 2 agents, D = 5 observation, S = 3 states.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.drawing import Canvas
from heliograph.environments.episodes import TeamPolicy
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
from heliograph.settings import Settings

AGENTS, ACTIONS, STEPS = 2, 2, 2
PAYOFF = np.array([[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]])
"""By the table, agent 0's and agent 1's action."""
BEGINNING, STATES = 0, 1 + len(PAYOFF)
"""State 0, then one for each table."""


class TwoStepSettings(Settings):
    """The environment `matrix-two-step` has no parameters."""


class TwoStepEnvironment(VectorEnvironment):
    """Vectorised over copies."""

    def __init__(self, settings: TwoStepSettings, *, id: str = "matrix-two-step", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.count, self.settings = count, settings
        states = tuple(f"state = {name}" for name in ("beginning", "table 0", "table 1"))
        self._spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=AGENTS,
            observation_size=AGENTS + STATES,
            actions=ACTIONS,
            episode_limit=STEPS,
            complete_graph=True,
            outcome="return",
            blind_bound=float(PAYOFF.max()),
            state_size=STATES,
            renders=True,
            observation_names=("agent = 0", "agent = 1", *states),
            state_names=states,
        )
        self._state = np.zeros(count, dtype=np.int64)
        self._step = np.full(count, STEPS, dtype=np.int64)  # as after an episode: nothing runs yet
        self._chosen = np.full((count, AGENTS), -1, dtype=np.int64)  # -1: nothing yet

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment.  The seeds change nothing."""
        chosen, _ = checked_seeds(seeds, copies, count=self.count)
        self._state[chosen], self._step[chosen], self._chosen[chosen] = BEGINNING, 0, -1
        return self._agent_inputs()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._step < STEPS)
        legal = checked_actions(actions, mask=self._all_legal())
        over = self._state != BEGINNING  # [E]
        tables = np.where(over, self._state - 1, 0)
        paid = np.where(over, PAYOFF[tables, legal[:, 0], legal[:, 1]], 0.0)
        self._state = np.where(over, self._state, 1 + legal[:, 0])
        self._chosen[:] = legal
        self._step += 1
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=np.repeat(paid[:, None], AGENTS, axis=1).astype(np.float32),
            terminated=np.repeat(over[:, None], AGENTS, axis=1),
            truncated=np.zeros(self.count, dtype=bool),
            over=over,
            outcome=np.where(over, paid, np.nan).astype(np.float32),
            lost=np.zeros(self.count, dtype=bool),
        )

    def state(self) -> npt.NDArray[np.float32]:
        """One-hot of the game's state, float32 [E, 3]."""
        return np.eye(STATES, dtype=np.float32)[self._state]

    def _all_legal(self) -> npt.NDArray[np.bool_]:
        return np.ones((self.count, AGENTS, ACTIONS), dtype=bool)

    def _agent_inputs(self) -> AgentInputs:
        present = np.repeat((self._step < STEPS)[:, None], AGENTS, axis=1)
        observation = np.zeros((self.count, AGENTS, AGENTS + STATES), dtype=np.float32)
        observation[..., :AGENTS] = np.eye(AGENTS)
        observation[..., AGENTS:] = self.state()[:, None]
        return AgentInputs(
            observation=observation * present[..., None],
            action_mask=self._all_legal(),
            hears=np.broadcast_to(~np.eye(AGENTS, dtype=bool), (self.count, AGENTS, AGENTS)).copy(),
            present=present,
        )

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """Both tables side by side, a free column between them: a ring around the best choice of each table that has
        one, a disc on the latest choice of the second step."""
        canvas = Canvas.grid(ACTIONS, 2 * ACTIONS + 1)
        canvas.ring(np.array([1, ACTIONS + 2]), 2)
        if self._step[copy] == STEPS and self._chosen[copy, 0] >= 0:
            left = (self._state[copy] - 1) * (ACTIONS + 1)
            canvas.disc(self._chosen[copy] + np.array([0, left]), 0, 1)
        return canvas.pixels


class Optimum(TeamPolicy):
    """Both agents choose action 1 at both steps, as a reference policy."""

    def __init__(self, environment: TwoStepEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random."""
        self._environment = environment

    def begin(self, copy: int, *, episode: int) -> None:
        return

    def step(self, agent_inputs: AgentInputs) -> Transition:
        return self._environment.step(np.ones((self._environment.count, AGENTS), dtype=np.int64))
