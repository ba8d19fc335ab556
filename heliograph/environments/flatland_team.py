"""One Flatland simulator with a team of trains: native steps, deadlocks, forced moves, rewards and what trains see.

Native actions are the simulator's: 0 nothing, 1 left, 2 forward, 3 right, 4 stop.  The three actions of a policy are 0
the first way on (in the order left, forward, right), 1 the second, or the only one, and 2 stop.

Axis legend: N trains.  For `heliograph.environments`; imports flatland, so only adapters load it.
"""

from __future__ import annotations

import random
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
from flatland.core.env_observation_builder import DummyObservationBuilder
from flatland.envs.line_generators import sparse_line_generator
from flatland.envs.malfunction_generators import (
    NBR_CHACHED_RAND,
    Malfunction,
    MalfunctionParameters,
    MalfunctionProcessData,
)
from flatland.envs.rail_env import RailEnv
from flatland.envs.rail_generators import sparse_rail_generator
from flatland.envs.rail_grid_transition_map import RailGridTransitionMap
from flatland.envs.rewards import Rewards
from flatland.envs.step_utils.speed_counter import SpeedCounter
from flatland.envs.step_utils.states import TrainState
from flatland.envs.timetable_utils import Timetable

from heliograph.environments.flatland_observation import Outlook, Sight, Trains
from heliograph.environments.flatland_rails import Rails, reached, survey
from heliograph.environments.flatland_settings import FlatlandSettings
from heliograph.errors import WorldError

ACTIONS = 3
NOTHING, LEFT, FORWARD, RIGHT, STOP = range(5)
NO_COMMAND = -1

UNREACHABLE_CELLS = 1000.0
"""What an infinite distance counts as in the reward."""

CACHED_ANSWERS = 50_000
"""Answers about rails that any of the simulator's caches may hold when an episode begins."""

_STANDS, _GOES = Fraction(0), Fraction(1)

_NATIVE_OF_TURN = np.array([FORWARD, RIGHT, FORWARD, LEFT])
"""By change of heading; in a dead end forward turns the train round."""


class RailTeam:
    """A team on its rails, one episode after another.  After each reset and step its attributes say how things are."""

    rails: Rails
    trains: Trains
    reward: np.ndarray
    """float [N], earned by the last step."""
    timed_out: bool
    """The step limit has been reached; there is no further step."""

    def __init__(self, settings: FlatlandSettings) -> None:
        self.settings = settings
        self._generator = sparse_rail_generator(
            max_num_cities=settings.cities,
            grid_mode=False,
            max_rails_between_cities=settings.rails_between_cities,
            max_rail_pairs_in_city=settings.rail_pairs_in_city,
        )
        self._fixed_rails: tuple[Any, Any] | None = None

    def reset(self, seed: int) -> None:
        """Start the episode of a seed of at most 32 bits.  Raises WorldError if the simulator cannot."""
        # A new simulator each time: a second reset of the same one goes on with the malfunctions it had drawn before.
        chance = random.getstate()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns about cities left out and rails not laid
                self.simulator = self._simulator(seed)
                self.simulator.reset(random_seed=seed)
                self.simulator.malfunction_generator.draw(self.simulator.np_random)
        except Exception as error:  # the generator fails in many ways on maps it cannot fill
            raise WorldError(
                f"no rails of {self.settings.width} x {self.settings.height} cells for seed {seed}: {error}",
                remedy="Make the map larger, or ask for fewer cities or rails",
            ) from error
        finally:
            random.setstate(chance)  # the simulator seeds the whole process
            _forget_old_rails()
        agents = self.simulator.agents
        for agent in agents:
            agent.speed_counter = _FullSpeed()
        goals = np.array([next(iter(agent.targets))[0] for agent in agents])
        self.rails = survey(self.simulator.rail.grid, goals)
        self._identity = np.random.default_rng(seed).random(len(agents))
        self._ways_on = [[cell for cell in row if cell >= 0] for row in self.rails.cell[self.rails.exits].tolist()]
        self._outlook = Outlook(self.rails, published=self.settings.published)
        self._natives = _natives(self.rails)
        self._reach: dict[int, np.ndarray] = {}
        self._deadlocked = np.zeros(len(agents), dtype=bool)
        width = self.settings.width
        self._start = np.array([r * width + c for (r, c), _ in (agent.initial_configuration for agent in agents)])
        self._departure = self.rails.index[self._start * 4 + [agent.initial_configuration[1] for agent in agents]]
        self.reward = np.zeros(len(agents))
        self.timed_out = False
        self._sight: Sight | None = None
        self._read()
        self._to_go = self._distance_to_go()

    def _simulator(self, seed: int) -> _Simulator:
        settings = self.settings
        return _Simulator(
            width=settings.width,
            height=settings.height,
            number_of_agents=settings.agents,
            rail_generator=self._rails,
            line_generator=sparse_line_generator({1.0: 1.0}),
            timetable_generator=self._timetable,
            malfunction_generator=_Malfunctions(settings),
            obs_builder_object=DummyObservationBuilder(),
            rewards=_NoRewards(),
            random_seed=seed,
        )

    def _rails(self, *arguments: Any) -> tuple[Any, Any]:
        if self.settings.rail_seed is None:
            return self._generator(*arguments)
        if self._fixed_rails is None:
            self._fixed_rails = self._generator(*arguments[:-1], np.random.RandomState(self.settings.rail_seed))
        return self._fixed_rails

    def _timetable(self, agents: list[Any], distance_map: Any, hints: dict[str, Any], chance: Any = None) -> Timetable:
        """No departure or arrival windows; the step limit of flatland 2."""
        count, settings = len(agents), self.settings
        limit = settings.step_limit or step_limit(settings, cities=len(hints["city_positions"]))
        return Timetable([[0, None]] * count, [[None, limit]] * count, limit)

    def step_native(self, actions: np.ndarray) -> None:
        """Apply native actions [N]; arrived trains ignore theirs.  Raises WorldError after the end of the episode."""
        if self.simulator.dones["__all__"]:
            raise WorldError("the episode is over", remedy="Reset before the next step")
        before, deadlocked, arrived = self._to_go, self._deadlocked.copy(), self.trains.arrived
        _, _, dones, _ = self.simulator.step(dict(enumerate(np.asarray(actions).tolist())))
        self._read()
        self.timed_out = bool(dones["__all__"]) and not self.trains.arrived.all()
        self._to_go = self._distance_to_go()
        settings = self.settings
        self.reward = settings.approach_reward * (before - self._to_go)
        self.reward += settings.arrival_reward * (self.trains.arrived & ~arrived)
        self.reward += settings.deadlock_reward * (self._deadlocked & ~deadlocked)

    def native_of(self) -> np.ndarray:
        """int [N, 3], the native action of each of a policy's; NO_COMMAND where there is none to give."""
        native = self._natives[self.trains.place]
        native[~self.trains.on_map, 2] = NO_COMMAND
        native[self.trains.arrived] = (NO_COMMAND, NO_COMMAND, STOP)
        return native

    def forced(self) -> np.ndarray:
        """bool [N], trains on the map that must take action 0: nothing to decide in this cell, or malfunctioning."""
        undecided = ~self.rails.decides[self.trains.place] | self.trains.broken
        return self.trains.on_map & undecided & ~self._deadlocked

    def sight(self) -> Sight:
        """What all trains see now; deadlocked ones too."""
        if self._sight is None:
            self._sight = self._outlook.look(self.trains)
        return self._sight

    def within_reach(self) -> np.ndarray:
        """bool [N, N], trains at most `rail_reach` cells of rail apart; from their start before they depart."""
        cells = np.where(self.trains.on_map, self.rails.cell[self.trains.place], self._start)
        near = np.stack([self._reached_from(int(cell)) for cell in cells])  # [N, H * W]
        return near[:, cells]

    def _reached_from(self, cell: int) -> np.ndarray:
        found = self._reach.get(cell)
        if found is None:
            found = self._reach[cell] = reached(self.rails, cell, cells=self.settings.rail_reach)
        return found

    @property
    def identity(self) -> np.ndarray:
        """float [N], entry 2 of the observations of this episode."""
        return self._identity

    @identity.setter
    def identity(self, numbers: np.ndarray) -> None:
        self._identity = np.asarray(numbers, dtype=np.float64)
        self._read()

    def _read(self) -> None:
        """Take over where the trains are, and find out which of them will never move again."""
        place, off_map, width = self._departure.tolist(), [], self.settings.width
        index, broken, arrived = self.rails.index, [], []
        for handle, agent in enumerate(self.simulator.agents):
            configuration, done = agent.current_configuration, agent.state == TrainState.DONE
            if configuration is not None:
                (row, column), heading = configuration
                place[handle] = int(index[(row * width + column) * 4 + heading])
            elif done:
                place[handle] = len(self._ways_on) - 1
            off_map.append(configuration is None)
            arrived.append(done)
            broken.append(agent.malfunction_handler.in_malfunction)
        on_map = ~np.array(off_map)
        self._find_deadlocks(place, on_map)
        self._sight = None
        self.trains = Trains(
            place=np.array(place),
            on_map=on_map,
            broken=np.array(broken),
            deadlocked=self._deadlocked,
            start=self._start,
            arrived=np.array(arrived),
            identity=self._identity,
        )

    def _find_deadlocks(self, place: list[int], on_map: np.ndarray) -> None:
        """Mark the trains on the map without a free cell ahead, now or once others that can move have moved."""
        cell = self.rails.cell
        occupant = {int(cell[place[handle]]): handle for handle in np.flatnonzero(on_map).tolist()}
        waiting = {}
        free = []
        for handle in occupant.values():
            if self._deadlocked[handle]:
                continue
            ahead = [occupant.get(way) for way in self._ways_on[place[handle]]]
            if None in ahead:
                free.append(handle)
            else:
                waiting[handle] = ahead
        while waiting and free:
            leaving = set(free)
            free = [handle for handle, ahead in waiting.items() if not leaving.isdisjoint(ahead)]
            for handle in free:
                del waiting[handle]
        if waiting:
            self._deadlocked = self._deadlocked.copy()
            self._deadlocked[list(waiting)] = True

    def _distance_to_go(self) -> np.ndarray:
        trains = self.trains
        cells = self.rails.distance[np.arange(trains.place.size), trains.place]
        cells = np.where(np.isinf(cells), UNREACHABLE_CELLS, cells)
        return np.where(trains.arrived, 0.0, cells)


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


def step_limit(settings: FlatlandSettings, *, cities: int) -> int:
    """Steps of an episode on a map with that many cities."""
    return int(8 * (settings.width + settings.height + settings.agents / cities))


def _natives(rails: Rails) -> np.ndarray:
    """Native actions [V + 1, 3] of a train on the map."""
    native = _NATIVE_OF_TURN[(rails.heading[rails.exits] - rails.heading[:, None]) % 4]
    none = rails.end.size - 1
    native[rails.exits[:, 0] == none, 0] = FORWARD
    only = rails.exits[:, 1] == none
    native[only, 1] = native[only, 0]
    return np.column_stack([native, np.full(none + 1, STOP)])
