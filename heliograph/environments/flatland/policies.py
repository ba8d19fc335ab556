"""Reference policies for Flatland; they know the whole map.

For `heliograph.environments.reference`; imports flatland.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.flatland.environment import FlatlandEnvironment
from heliograph.environments.flatland.team import NOTHING
from heliograph.environments.vector import AgentInputs, Transition
from heliograph.extras import extra


class ShortestPath(TeamPolicy):
    """Every train departs at once and takes the shortest way to its target, whoever comes towards it."""

    def __init__(self, environment: FlatlandEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random."""
        self._environment = environment

    def begin(self, copy: int, *, episode: int) -> None:
        return

    def step(self, agent_inputs: AgentInputs) -> Transition:
        actions = np.stack([_shortest(team.rails.distance, team) for team in self._environment.teams])
        legal = np.take_along_axis(agent_inputs.action_mask, actions[..., None], axis=-1)[..., 0]
        return self._environment.step(np.where(legal, actions, 0))


def _shortest(distance: npt.NDArray[np.float64], team: Any) -> npt.NDArray[np.int64]:
    """int [N], 0 or 1, the way on that is nearer to the target."""
    ways = team.rails.exits[team.trains.place]  # [N, 2]
    nearer: npt.NDArray[np.int64] = distance[np.arange(ways.shape[0])[:, None], ways].argmin(-1)
    return nearer


class DeadlockAvoidance(TeamPolicy):
    """DeadLockAvoidancePolicy of flatland-baselines: a train goes on while it leaves room for those that come towards
    it on its shortest path.  It gives native actions."""

    def __init__(self, environment: FlatlandEnvironment, *, seed: int) -> None:
        """Raises MissingExtra without flatland-baselines.  `seed` has no effect: nothing here is random."""
        with extra("flatland", packages={"flatland_baselines"}, purpose="deadlock avoidance"):
            from flatland_baselines.deadlock_avoidance_heuristic.policy import deadlock_avoidance_policy
        self._make = deadlock_avoidance_policy.DeadLockAvoidancePolicy
        self._environment = environment
        self._policies = [self._make() for _ in range(environment.count)]

    def begin(self, copy: int, *, episode: int) -> None:
        self._policies[copy] = self._make()

    def step(self, agent_inputs: AgentInputs) -> Transition:
        handles = list(range(self._environment.spec.agents))
        natives = np.full((self._environment.count, len(handles)), NOTHING)
        for copy, (policy, team) in enumerate(zip(self._policies, self._environment.teams, strict=True)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns about trains without a way to their targets
                actions = policy.act_many(handles, [team.simulator] * len(handles))
            natives[copy] = [actions[handle].value for handle in handles]
        return self._environment.step_native(natives)
