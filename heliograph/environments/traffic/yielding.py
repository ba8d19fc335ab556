"""Cars that know where all others are, on the easy roads, as a reference policy: what messages could bring there.

For `heliograph.environments.reference`.
"""

from __future__ import annotations

import numpy as np

from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.traffic.environment import BRAKE, GO, TrafficEnvironment
from heliograph.environments.vector import AgentInputs, Transition
from heliograph.errors import WorldError


class Yielding(TeamPolicy):
    """Where two cars would meet on the crossing, the one with fewer cars right behind it brakes, and so do these.

    Whoever has as many behind it as the other lets the road from the top go first.
    """

    def __init__(self, environment: TrafficEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random.  Raises WorldError on roads that do not cross once."""
        if environment.settings.difficulty != "easy":
            raise WorldError(
                f"the reference policy yielding knows one crossing, and these roads are "
                f"{environment.settings.difficulty!r}",
                remedy="Take traffic-junction-easy, or another policy",
            )
        self._environment = environment

    def begin(self, copy: int, *, episode: int) -> None:
        return

    def step(self, agent_inputs: AgentInputs) -> Transition:
        environment = self._environment
        before = environment.roads.size // 2  # cells of each road before the crossing
        route, place, on_road = environment.route, environment.place, environment.on_road
        # int [E, 2], cars in a row up to the crossing, on the road from the top and on that from the left
        waiting = np.zeros((environment.count, 2), dtype=np.int64)
        unbroken = np.ones((environment.count, 2), dtype=bool)
        for cell in range(before - 1, -1, -1):
            there = np.stack([(on_road & (route == road) & (place == cell)).any(1) for road in range(2)], axis=-1)
            unbroken &= there
            waiting += unbroken
        yields = np.where(waiting[:, 0] < waiting[:, 1], 0, 1)[:, None]
        meet = (waiting > 0).all(1)[:, None]
        in_row = place >= before - np.take_along_axis(waiting, yields, axis=1)
        brakes = meet & (route == yields) & in_row & (place < before)
        return environment.step(np.where(agent_inputs.action_mask[..., GO] & ~brakes, GO, BRAKE))
