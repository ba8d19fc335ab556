"""Cars that hear nobody, as a reference policy; why no better one is known: `traffic.measured`.

For `heliograph.environments.reference`.
"""

from __future__ import annotations

import numpy as np

from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.traffic.environment import BRAKE, GO, TrafficEnvironment
from heliograph.environments.vector import AgentInputs, Transition


class Silent(TeamPolicy):
    """Nobody brakes."""

    def __init__(self, environment: TrafficEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random."""
        self._environment = environment

    def begin(self, copy: int, *, episode: int) -> None:
        return

    def step(self, agent_inputs: AgentInputs) -> Transition:
        return self._environment.step(np.where(agent_inputs.action_mask[..., GO], GO, BRAKE))
