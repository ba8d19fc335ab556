"""The two-step game of QMIX's paper: which of two matrix games is played, and then that game.

Agent 0's first choice decides alone: action 0 leads to a table that pays 7 whatever is chosen, action 1 to one that
pays 8 for the best joint choice and less than 7 for all others (Rashid et al. 2018, §5).  Who values joint choices as a
sum of the agents' own values thinks the second table worth less than 7, and earns 7; who can value them monotonically
earns 8.  Both agents see the game's state, so nothing has to be told, and nothing is drawn: `blind_bound` is 8.

Axis legend: E copies, N = 2 agents, D = 5 observation, S = 3 states.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.environments.drawing import Canvas
from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.matrix.two_agents import AGENTS, TwoAgentGame
from heliograph.environments.vector import AgentInputs, EnvironmentSpec, Transition
from heliograph.settings import Settings

ACTIONS, STEPS = 2, 2
PAYOFF = np.array([[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]])
"""By the table, agent 0's and agent 1's action."""
BEGINNING, STATES = 0, 1 + len(PAYOFF)
"""State 0, then one for each table."""


class TwoStepSettings(Settings):
    """The environment `matrix-two-step` has no parameters."""


class TwoStepEnvironment(TwoAgentGame):
    """Vectorised over copies."""

    def __init__(self, settings: TwoStepSettings, *, id: str = "matrix-two-step", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        self.settings = settings
        states = tuple(f"state = {name}" for name in ("beginning", "table 0", "table 1"))
        spec = EnvironmentSpec(
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
        super().__init__(spec, count=count)
        self._state = np.zeros(count, dtype=np.int64)

    def _begin(self, copies: npt.NDArray[np.int64]) -> None:
        self._state[copies] = BEGINNING

    def _pay(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        second = self._state != BEGINNING  # [E]
        tables = np.where(second, self._state - 1, 0)
        paid: npt.NDArray[np.float64] = np.where(second, PAYOFF[tables, chosen[:, 0], chosen[:, 1]], 0.0)
        self._state = np.where(second, self._state, 1 + chosen[:, 0])
        return paid

    def state(self) -> npt.NDArray[np.float32]:
        """One-hot of the game's state, float32 [E, 3]."""
        return np.eye(STATES, dtype=np.float32)[self._state]

    def _seen(self) -> npt.NDArray[np.float32]:
        return self.state()

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
