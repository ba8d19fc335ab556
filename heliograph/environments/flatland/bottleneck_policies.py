"""Reference policies for the bottleneck: the best rules without messages, and what both can do who know all starts.

For `heliograph.environments.reference`; imports flatland.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.flatland.bottleneck_rules import best_silent, first_come
from heliograph.environments.flatland.bottleneck_settings import BottleneckSettings
from heliograph.environments.flatland.environment import STOP_ACTION, FlatlandEnvironment
from heliograph.environments.vector import AgentInputs, Transition
from heliograph.errors import WorldError

_BEFORE_POINTS = 2.0
"""`Rails.merge` in the last cell before the points."""


class _Timed(TeamPolicy):
    """Every train runs up to the points and tries to enter from a step on that is settled at the start."""

    def __init__(self, environment: FlatlandEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random."""
        assert isinstance(environment.settings, BottleneckSettings)
        self._environment, self._settings = environment, environment.settings
        self._steps = np.zeros(environment.count, dtype=np.int64)
        self._waits = np.zeros((environment.count, 2), dtype=np.int64)
        self._starts = np.zeros((environment.count, 2), dtype=np.int64)

    @abstractmethod
    def _decide(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """int [2], steps that each train waits from when it could enter, slack + 1 for ever.

        Starts are int [2], cells before the points.
        """

    def begin(self, copy: int, *, episode: int) -> None:
        self._steps[copy] = -1

    def step(self, agent_inputs: AgentInputs) -> Transition:
        teams = self._environment.teams
        to_points = np.stack([team.rails.merge[team.trains.place] for team in teams])
        on_map = np.stack([team.trains.on_map for team in teams])
        for copy in np.flatnonzero(self._steps < 0):
            self._starts[copy] = to_points[copy] - 1
            self._waits[copy] = self._decide(self._starts[copy])
        self._steps = np.maximum(self._steps, 0)
        early = self._steps[:, None] < self._starts + 1 + self._waits  # a step to depart, and one for each cell
        early |= self._waits > self._settings.slack
        self._steps += 1
        stops = early & on_map & (to_points == _BEFORE_POINTS) & agent_inputs.action_mask[..., STOP_ACTION]
        return self._environment.step(np.where(stops, STOP_ACTION, 0))


class Silent(_Timed):
    """The best of all rules that need no message; see `bottleneck_rules`."""

    def __init__(self, environment: FlatlandEnvironment, *, seed: int) -> None:
        """`seed` has no effect.  Raises WorldError where no best rule is known."""
        super().__init__(environment, seed=seed)
        found = best_silent(self._settings)
        if found is None:
            raise WorldError(
                "no best silent rule is known for these parameters",
                remedy="Leave sight, malfunction_interval and step_limit out, or ask for fewer approaches",
            )
        self._rules = found[1]

    def _decide(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.array([rule[start - 1] for rule, start in zip(self._rules, starts, strict=True)])


class FirstCome(_Timed):
    """Who is at the points first goes first; each knows where both start."""

    def _decide(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return first_come(self._settings, starts)
