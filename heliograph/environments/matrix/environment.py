"""A cooperative game of two agents, repeated: each chooses without seeing the other's choice, both get the payoff.

Nothing is hidden or drawn, so that an episode is the same for every seed, and a team needs no messages: its
`blind_bound` is the optimum.  Agents observe who they are and how much of the episode is over; its last step is a
termination, as nothing follows and the clock shows it.

Axis legend: E copies, N = 2 agents, D = 3 observation, A actions.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from heliograph.environments.drawing import Canvas
from heliograph.environments.matrix.games import DEFAULT_PENALTY, GAMES
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

AGENTS = 2


class MatrixSettings(Settings):
    """Parameters of the environment `matrix` and of all games with a name of their own."""

    game: Literal[tuple(GAMES)] = "climbing"  # type: ignore[valid-type]  # as many as the data has
    """The table of payoffs."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Steps of every episode."""
    penalty: Annotated[float, Field(ge=-1000.0, le=0.0)] = DEFAULT_PENALTY
    """Payoff of the mixed choices of the game `penalty`; no other game has it."""


class MatrixEnvironment(VectorEnvironment):
    """Vectorised over copies."""

    def __init__(self, settings: MatrixSettings, *, id: str = "matrix", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.count, self.settings = count, settings
        self.payoff = GAMES[settings.game].payoff(penalty=settings.penalty)
        self._spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=AGENTS,
            observation_size=AGENTS + 1,
            actions=len(self.payoff),
            episode_limit=settings.length,
            complete_graph=True,
            outcome="return",
            blind_bound=settings.length * float(self.payoff.max()),
            renders=True,
            observation_names=("agent = 0", "agent = 1", "share of the episode"),
        )
        self._step = np.full(count, settings.length, dtype=np.int64)  # as after an episode: nothing runs yet
        self._return = np.zeros(count)
        self._chosen = np.full((count, AGENTS), -1, dtype=np.int64)  # -1: nothing yet

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment.  The seeds change nothing."""
        chosen, _ = checked_seeds(seeds, copies, count=self.count)
        self._step[chosen], self._return[chosen], self._chosen[chosen] = 0, 0.0, -1
        return self._agent_inputs()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._step < self.settings.length)
        legal = checked_actions(actions, mask=self._all_legal())
        paid = self.payoff[legal[:, 0], legal[:, 1]]  # [E]
        self._chosen[:] = legal
        self._step += 1
        self._return += paid
        over = self._step >= self.settings.length
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
        present = np.repeat((self._step < self.settings.length)[:, None], AGENTS, axis=1)
        observation = np.zeros((self.count, AGENTS, self.spec.observation_size), dtype=np.float32)
        observation[..., :AGENTS] = np.eye(AGENTS)
        observation[..., AGENTS] = (self._step / self.settings.length)[:, None]
        return AgentInputs(
            observation=observation * present[..., None],
            action_mask=self._all_legal(),
            hears=np.broadcast_to(~np.eye(AGENTS, dtype=bool), (self.count, AGENTS, AGENTS)).copy(),
            present=present,
        )

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """The table: a ring around every best choice, a disc on the latest."""
        canvas = Canvas.grid(*self.payoff.shape)
        for cell in np.argwhere(self.payoff == self.payoff.max()):
            canvas.ring(cell, 2)
        if self._chosen[copy, 0] >= 0:
            canvas.disc(self._chosen[copy], 0, 1)
        return canvas.pixels
