"""What a matrix game pays at best, as a reference policy.

For `heliograph.environments.reference`.
"""

from __future__ import annotations

import numpy as np

from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.matrix.environment import MatrixEnvironment
from heliograph.environments.vector import AgentInputs, Transition


class Optimum(TeamPolicy):
    """Both agents choose the first of the best joint actions at every step."""

    def __init__(self, environment: MatrixEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random."""
        self._environment = environment
        self._best = np.argwhere(environment.payoff == environment.payoff.max())[0]

    def begin(self, copy: int, *, episode: int) -> None:
        return

    def step(self, agent_inputs: AgentInputs) -> Transition:
        return self._environment.step(np.tile(self._best, (self._environment.count, 1)))
