"""flatland-rl's simulator as the Flatland environments use it, one for each episode.

Its dynamics are untouched; what a step spends on rewards, answers and fractions that nobody needs is left out.
For `heliograph.environments.flatland.team`; imports flatland.
"""

from __future__ import annotations

import random
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
from flatland.core.env_observation_builder import DummyObservationBuilder
from flatland.envs.malfunction_generators import (
    NBR_CHACHED_RAND,
    Malfunction,
    MalfunctionParameters,
    MalfunctionProcessData,
)
from flatland.envs.rail_env import RailEnv
from flatland.envs.rail_grid_transition_map import RailGridTransitionMap
from flatland.envs.rewards import Rewards
from flatland.envs.step_utils.speed_counter import SpeedCounter
from flatland.envs.timetable_utils import Timetable

from heliograph.environments.flatland.bottleneck import Bottlenecks
from heliograph.environments.flatland.bottleneck_settings import BottleneckSettings
from heliograph.environments.flatland.cities import Cities
from heliograph.environments.flatland.settings import FlatlandSettings
from heliograph.errors import WorldError

CACHED_ANSWERS = 50_000
"""Answers about rails that any of the simulator's caches may hold when an episode begins."""

_STANDS, _GOES = Fraction(0), Fraction(1)


class Simulators:
    """Makes the simulator of an episode from its seed."""

    def __init__(self, settings: FlatlandSettings) -> None:
        self._settings = settings
        self._family = Bottlenecks(settings) if isinstance(settings, BottleneckSettings) else Cities(settings)
        self._same_rails: tuple[Any, Any] | None = None

    def start(self, seed: int) -> RailEnv:
        """Lay the rails and place the trains of an episode.  Raises WorldError if the generator cannot.

        A new simulator each time: after a second reset one goes on with malfunctions that it had drawn before.
        """
        settings, malfunctions = self._settings, _Malfunctions(self._settings)
        chance = random.getstate()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns about cities left out and rails not laid
                simulator = _Simulator(
                    width=settings.width,
                    height=settings.height,
                    number_of_agents=settings.agents,
                    rail_generator=self._rails,
                    line_generator=self._family.line,
                    timetable_generator=self._timetable,
                    malfunction_generator=malfunctions,
                    obs_builder_object=DummyObservationBuilder(),
                    rewards=_NoRewards(),
                    random_seed=seed,
                )
                simulator.reset(random_seed=seed)
        except Exception as error:  # the generator may fail in any way on a map that it cannot fill
            raise WorldError(
                f"no rails of {settings.width} x {settings.height} cells for seed {seed}: {error}",
                remedy="Make the map larger, or ask for fewer cities or rails",
            ) from error
        finally:
            random.setstate(chance)  # the simulator seeds the whole process
            _forget_old_rails()
        malfunctions.draw(simulator.np_random)
        for agent in simulator.agents:
            agent.speed_counter = _FullSpeed()
        return simulator

    def _rails(self, *arguments: Any) -> tuple[Any, Any]:
        if self._same_rails is not None:
            return self._same_rails
        if self._settings.rail_seed is not None:
            arguments = (*arguments[:-1], np.random.RandomState(self._settings.rail_seed))
        rails: tuple[Any, Any] = self._family.rails(*arguments)
        if self._settings.rail_seed is not None:
            self._same_rails = rails
        return rails

    def _timetable(self, agents: list[Any], distance_map: Any, hints: dict[str, Any], chance: Any = None) -> Timetable:
        """No departure or arrival windows; the step limit of flatland 2."""
        count = len(agents)
        limit = self._settings.step_limit or self._family.step_limit(hints)
        return Timetable([[0, None]] * count, [[None, limit]] * count, limit)


def _forget_old_rails() -> None:
    """Keep the simulator's caches small: they hold every rail ever laid, megabytes for each episode."""
    caches = [getattr(RailGridTransitionMap, name) for name in dir(RailGridTransitionMap)]
    caches = [cache for cache in caches if hasattr(cache, "cache_clear")]
    if any(cache.cache_info().currsize > CACHED_ANSWERS for cache in caches):
        for cache in caches:
            cache.cache_clear()


class _Simulator(RailEnv):
    """Without what a step spends on answers that nobody reads."""

    def get_info_dict(self) -> dict[str, Any]:
        return {}


class _Malfunctions:
    """The simulator's ParamMalfunctionGen, draw for draw, without keeping the million numbers that it draws."""

    def __init__(self, settings: FlatlandSettings) -> None:
        rate = 1.0 / settings.malfunction_interval if settings.malfunction_interval else 0.0
        self._parameters = MalfunctionParameters(rate, settings.malfunction_shortest, settings.malfunction_longest)
        self._asked = 0
        self._breaks: frozenset[int] = frozenset()

    def draw(self, np_random: np.random.RandomState) -> None:
        """Between reset and first step, where the simulator's own generator takes its numbers."""
        rate = self._parameters.malfunction_rate
        if rate:
            happens = np_random.rand(NBR_CHACHED_RAND) < 1 - np.exp(-rate)
            self._breaks = frozenset(np.flatnonzero(happens).tolist())

    def generate(self, np_random: np.random.RandomState) -> Malfunction | None:
        """Asked for every train in every step."""
        self._asked = (self._asked + 1) % NBR_CHACHED_RAND
        if self._asked not in self._breaks:
            return None
        _, shortest, longest = self._parameters
        return Malfunction(np_random.randint(shortest, longest + 1) + 1)

    def get_process_data(self) -> MalfunctionProcessData:
        return MalfunctionProcessData(*self._parameters)


class _FullSpeed(SpeedCounter):
    """A train that stands or crosses one cell per step, without fractions: they cost a third of a step."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def step(self, speed: Fraction | None = None) -> None:
        if speed is not None:
            self._speed = _GOES if speed else _STANDS
        self._is_cell_entry = self._speed is _GOES

    def is_cell_exit(self, speed: Fraction) -> bool:
        return bool(speed)


class _NoRewards(Rewards[float]):
    """The simulator's own rewards are not used, and cost more than ours."""

    def step_reward(self, *_: Any, **__: Any) -> float:
        return 0.0

    def end_of_episode_reward(self, *_: Any, **__: Any) -> float:
        return 0.0

    def cumulate(self, *_: float) -> float:
        return 0.0

    def empty(self) -> float:
        return 0.0
