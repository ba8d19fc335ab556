"""One Flatland simulator with a team of trains: native steps, deadlocks, forced moves, rewards and what trains see.

Native actions are the simulator's: 0 nothing, 1 left, 2 forward, 3 right, 4 stop.  The three actions of a policy are 0
the first way on (in the order left, forward, right), 1 the second, or the only one, and 2 stop.

Axis legend: N trains.  For `heliograph.environments`; imports flatland, so only adapters load it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from flatland.envs.step_utils.states import TrainState

from heliograph.environments.flatland.observation import Outlook, Sight, Trains
from heliograph.environments.flatland.rails import Rails, reached, survey
from heliograph.environments.flatland.settings import FlatlandSettings
from heliograph.environments.flatland.simulator import Simulators
from heliograph.errors import WorldError

ACTIONS = 3
NOTHING, LEFT, FORWARD, RIGHT, STOP = range(5)
NO_COMMAND = -1

_NATIVE_OF_TURN = np.array([FORWARD, RIGHT, FORWARD, LEFT])
"""By change of heading; in a dead end forward turns the train round."""


class RailTeam:
    """A team on its rails, one episode after another.  After each reset and step its attributes say how things are."""

    rails: Rails
    trains: Trains
    reward: npt.NDArray[np.float64]
    """float [N], earned by the last step."""
    timed_out: bool
    """The step limit has been reached; there is no further step."""

    def __init__(self, settings: FlatlandSettings) -> None:
        self.settings = settings
        self._simulators = Simulators(settings)

    def reset(self, seed: int) -> None:
        """Start the episode of a seed of at most 32 bits.  Raises WorldError if the simulator cannot."""
        self.simulator = self._simulators.start(seed)
        agents = self.simulator.agents
        goals = np.array([next(iter(agent.targets))[0] for agent in agents])
        self.rails = survey(self.simulator.rail.grid, goals)
        self._identity = np.random.default_rng(seed).random(len(agents))
        self._ways_on = [[cell for cell in row if cell >= 0] for row in self.rails.cell[self.rails.exits].tolist()]
        self._outlook = Outlook(self.rails, published=self.settings.published, sight=self.settings.sight)
        self._natives = _natives(self.rails)
        self._reach: dict[int, npt.NDArray[np.bool_]] = {}
        self._deadlocked = np.zeros(len(agents), dtype=bool)
        width = self.settings.width
        self._start = np.array([r * width + c for (r, c), _ in (agent.initial_configuration for agent in agents)])
        self._departure = self.rails.index[self._start * 4 + [agent.initial_configuration[1] for agent in agents]]
        self.reward = np.zeros(len(agents))
        self.timed_out = False
        self._sight: Sight | None = None
        self._read()
        self._to_go = self._distance_to_go()

    def step_native(self, actions: npt.NDArray[np.int64]) -> None:
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

    def native_of(self) -> npt.NDArray[np.int64]:
        """int [N, 3], the native action of each of a policy's; NO_COMMAND where there is none to give."""
        native = self._natives[self.trains.place]
        native[~self.trains.on_map, 2] = NO_COMMAND
        native[self.trains.arrived] = (NO_COMMAND, NO_COMMAND, STOP)
        return native

    def forced(self) -> npt.NDArray[np.bool_]:
        """bool [N], trains on the map that must take action 0: nothing to decide in this cell, or malfunctioning."""
        undecided = ~self.rails.decides[self.trains.place] | self.trains.broken
        return self.trains.on_map & undecided & ~self._deadlocked

    def sight(self) -> Sight:
        """What all trains see now; deadlocked ones too."""
        if self._sight is None:
            self._sight = self._outlook.look(self.trains)
        return self._sight

    @property
    def cells(self) -> npt.NDArray[np.int64]:
        """int [N], where the trains are; before they depart their start."""
        return np.where(self.trains.on_map, self.rails.cell[self.trains.place], self._start)

    def within_reach(self) -> npt.NDArray[np.bool_]:
        """bool [N, N], trains at most `rail_reach` cells of rail apart."""
        near = np.stack([self._reached_from(int(cell)) for cell in self.cells])  # [N, H * W]
        return near[:, self.cells]

    def _reached_from(self, cell: int) -> npt.NDArray[np.bool_]:
        found = self._reach.get(cell)
        if found is None:
            found = self._reach[cell] = reached(self.rails, cell, cells=self.settings.rail_reach)
        return found

    @property
    def identity(self) -> npt.NDArray[np.float64]:
        """float [N], entry 2 of the observations of this episode."""
        return self._identity

    @identity.setter
    def identity(self, numbers: npt.NDArray[np.float64]) -> None:
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

    def _find_deadlocks(self, place: list[int], on_map: npt.NDArray[np.bool_]) -> None:
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

    def _distance_to_go(self) -> npt.NDArray[np.float64]:
        trains = self.trains
        cells = self.rails.distance[np.arange(trains.place.size), trains.place]
        cells = np.where(np.isinf(cells), self.settings.unreachable_cells, cells)
        return np.where(trains.arrived, 0.0, cells)


def _natives(rails: Rails) -> npt.NDArray[np.int64]:
    """Native actions [V + 1, 3] of a train on the map."""
    native = _NATIVE_OF_TURN[(rails.heading[rails.exits] - rails.heading[:, None]) % 4]
    none = rails.end.size - 1
    native[rails.exits[:, 0] == none, 0] = FORWARD
    only = rails.exits[:, 1] == none
    native[only, 1] = native[only, 0]
    return np.column_stack([native, np.full(none + 1, STOP)])
