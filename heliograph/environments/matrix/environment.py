"""A cooperative game of two agents, repeated: each chooses without seeing the other's choice, both get the payoff.

Nothing is hidden or drawn, so that an episode is the same for every seed, and a team needs no messages: its
`blind_bound` is the optimum.  Agents observe who they are and how much of the episode is over; its last step is a
termination, as nothing follows and the clock shows it.

Axis legend: E copies, N = 2 agents, D = 3 observation, A actions.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from heliograph.environments.drawing import Canvas
from heliograph.environments.matrix.games import DEFAULT_PENALTY, GAMES
from heliograph.environments.matrix.two_agents import AGENTS, TwoAgentGame
from heliograph.environments.vector import EnvironmentSpec
from heliograph.settings import Settings


class MatrixSettings(Settings):
    """Parameters of the environment `matrix` and of all games with a name of their own."""

    game: Literal[tuple(GAMES)] = "climbing"  # type: ignore[valid-type]  # as many as the data has
    """The table of payoffs."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Steps of every episode."""
    penalty: Annotated[float, Field(ge=-1000.0, le=0.0)] = DEFAULT_PENALTY
    """Payoff of the mixed choices of the game `penalty`; no other game has it."""


class MatrixEnvironment(TwoAgentGame):
    """Vectorised over copies."""

    def __init__(self, settings: MatrixSettings, *, id: str = "matrix", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        self.settings = settings
        self.payoff = GAMES[settings.game].payoff(penalty=settings.penalty)
        spec = EnvironmentSpec(
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
        super().__init__(spec, count=count)

    def _pay(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        paid: npt.NDArray[np.float64] = self.payoff[chosen[:, 0], chosen[:, 1]]
        return paid

    def _seen(self) -> npt.NDArray[np.float64]:
        return (self._step / self.settings.length)[:, None]

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """The table: a ring around every best choice, a disc on the latest."""
        canvas = Canvas.grid(*self.payoff.shape)
        for cell in np.argwhere(self.payoff == self.payoff.max()):
            canvas.ring(cell, 2)
        if self._chosen[copy, 0] >= 0:
            canvas.disc(self._chosen[copy], 0, 1)
        return canvas.pixels
