"""Traffic Junction by the rules of IC3Net (Singh et al., 2019, arXiv 1812.09755) and of its public environment.

N slots for cars.  In every step each car on the road goes on by a cell of its route or brakes; whoever goes on from its
last cell leaves.  Then, entry by entry, a car arrives with a fixed probability, as long as fewer than N are on the
road: in a free slot and with a route from there, both drawn.  Nothing keeps two cars from being in one cell: that is a
crash, which costs each 10; each step on the road costs 0.01 times the steps that a car has been there.  Cars go on
after a crash.  An episode has a fixed length; it is won without a crash.

A car sees its last action, its route, its cell, and how many cars are in the cells around; a slot without a car sees
zeros and can only brake.  IC3Net's observation has the same facts: every cell in sight as one-hot, the route as a
fraction.  Unlike there, a car that arrives has "gone on" as its last action, whatever the slot's car before it did.

Axis legend: E copies, N slots, C road cells, R routes, D observation, A = 2 actions.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.cue_task import one_hot
from heliograph.environments.drawing import Canvas
from heliograph.environments.drawn_task import Advance, DrawnTask, chebyshev
from heliograph.environments.traffic.measured import best_found
from heliograph.environments.traffic.roads import Roads, roads
from heliograph.environments.traffic.settings import TrafficSettings
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import WorldError

GO, BRAKE = 0, 1
CRASH_REWARD, STEP_REWARD = -10.0, -0.01


class TrafficEnvironment(DrawnTask):
    """Vectorised over copies; every random number of an episode comes from its seed alone."""

    def __init__(self, settings: TrafficSettings, *, id: str, count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        traffic = settings.traffic
        self.settings, self.roads = settings, roads(settings.difficulty, traffic.size)
        cells, routes, sight = len(self.roads.cells), len(self.roads.length), 2 * settings.vision + 1
        bound = best_found(settings)
        spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=traffic.cars,
            observation_size=1 + routes + cells + sight**2,
            actions=2,
            episode_limit=traffic.length,
            complete_graph=False,
            outcome="won",
            blind_bound=bound,
            blind_bound_measured=bound is not None,
            idle_action=BRAKE,
            has_action_mask=True,
            state_size=traffic.cars * (1 + cells + routes),
            renders=True,
            has_distances=True,
            observation_names=_observation_names(self.roads, settings.vision),
            state_names=tuple(
                f"car {slot} {name}"
                for slot in range(traffic.cars)
                for name in ("share of the episode on the road", *_cell_names(self.roads), *_route_names(self.roads))
            ),
        )
        super().__init__(count=count, spec=spec)
        cars, entries, length = traffic.cars, self.roads.entries, traffic.length
        self._arrival_rate = np.full(count, traffic.arrival_rate)  # of the next episodes
        self._arrives = np.zeros((count, length, entries), dtype=bool)
        self._slot_order = np.zeros((count, length, entries, cars))
        self._drawn_route = np.zeros((count, length, entries), dtype=np.int64)
        self.on_road = np.zeros((count, cars), dtype=bool)
        self.route = np.zeros((count, cars), dtype=np.int64)  # of a slot without a car, that of the last one
        self.place = np.zeros((count, cars), dtype=np.int64)  # cells of the route behind it
        self._steps_here = np.zeros((count, cars), dtype=np.int64)
        self._braked = np.zeros((count, cars), dtype=bool)
        self._crashed = np.zeros((count, cars), dtype=bool)
        self._any_crash = np.zeros(count, dtype=bool)
        self._padded = np.full((traffic.size + 2 * settings.vision,) * 2, cells)  # road cell by place, C beside roads
        rows, columns = (self.roads.cells + settings.vision).T
        self._padded[rows, columns] = np.arange(cells)

    @property
    def variable(self) -> Mapping[str, float]:
        """See VectorEnvironment."""
        return {"arrival_rate": self.settings.traffic.arrival_rate}

    def vary(self, name: str, values: npt.NDArray[np.float64], copies: npt.NDArray[np.int64]) -> None:
        """See VectorEnvironment."""
        if name not in self.variable:
            super().vary(name, values, copies)
        if not ((values >= 0) & (values <= 1)).all():
            raise WorldError(f"arrival_rate of an episode must be a probability, not {values.min()} to {values.max()}")
        self._arrival_rate[copies] = values

    def _begin(self, copy: int, random: np.random.Generator) -> None:
        shape = self._arrives.shape[1:]
        self._arrives[copy] = random.random(shape) < self._arrival_rate[copy]
        self._slot_order[copy] = random.random((*shape, self.spec.agents))
        self._drawn_route[copy] = random.integers(self.roads.routes_per_entry, size=shape)
        for of_car in (self.on_road, self.route, self.place, self._steps_here, self._braked, self._crashed):
            of_car[copy] = 0
        self._any_crash[copy] = False

    def _advance(self, actions: npt.NDArray[np.integer[Any]]) -> Advance:
        self._drive(going=self.on_road & (actions == GO))
        self._arrive()
        crowd = self._cars_in_cells()
        self._crashed = self.on_road & (np.take_along_axis(crowd, self._cell(), axis=1) > 1)
        self._any_crash = self._any_crash | self._crashed.any(1)
        reward = STEP_REWARD * self._steps_here + CRASH_REWARD * self._crashed
        return Advance(
            reward=np.where(self.on_road, reward, 0.0),
            outcome=(~self._any_crash).astype(np.float64),
            decided=np.zeros(self.count, dtype=bool),
        )

    def _drive(self, *, going: npt.NDArray[np.bool_]) -> None:
        self._steps_here = self._steps_here + self.on_road
        self._braked = self.on_road & ~going
        self.place = self.place + going
        self.on_road = self.on_road & (self.place < self.roads.length[self.route])
        self._steps_here = np.where(self.on_road, self._steps_here, 0)

    def _arrive(self) -> None:
        copies = np.arange(self.count)
        for entry in range(self.roads.entries):
            arrives = self._arrives[copies, self.step_number, entry] & ~self.on_road.all(1)
            order = np.where(self.on_road, np.inf, self._slot_order[copies, self.step_number, entry])
            chosen, slot = copies[arrives], order.argmin(1)[arrives]
            drawn = self._drawn_route[chosen, self.step_number[chosen], entry]
            self.on_road[chosen, slot] = True
            self.route[chosen, slot] = entry * self.roads.routes_per_entry + drawn
            self.place[chosen, slot] = 0

    def _cell(self) -> npt.NDArray[np.int64]:
        """int [E, N], the road cell of each car; C for a slot without one."""
        place = np.minimum(self.place, self.roads.length[self.route])
        return np.where(self.on_road, self.roads.path[self.route, place], len(self.roads.cells))

    def _cars_in_cells(self) -> npt.NDArray[np.int64]:
        """int [E, C + 1], cars in each road cell; of the last one, beside the roads, none."""
        cells = len(self.roads.cells) + 1
        flat = self._cell() + cells * np.arange(self.count)[:, None]
        crowd = np.bincount(flat.reshape(-1), minlength=self.count * cells).reshape(self.count, cells)
        crowd[:, -1] = 0
        return crowd

    def _where(self) -> npt.NDArray[np.int64]:
        """int [E, N, 2], row and column; (0, 0), where no road is, for a slot without a car."""
        return np.concatenate([self.roads.cells, [[0, 0]]])[self._cell()]

    def _observe(self) -> npt.NDArray[np.float32]:
        cells, routes = len(self.roads.cells), len(self.roads.length)
        own_route = np.where(self.on_road, self.route, routes)
        offsets = np.arange(2 * self.settings.vision + 1)
        place = self._where()
        seen = self._padded[  # [E, N, rows, columns], road cells around each car
            place[..., 0, None, None] + offsets[:, None], place[..., 1, None, None] + offsets
        ].reshape(self.count, self.spec.agents, -1)
        crowd = self._cars_in_cells()[np.arange(self.count)[:, None, None], seen] * self.on_road[..., None]
        parts = (
            self._braked[..., None],
            one_hot(own_route, routes + 1)[..., :-1],
            one_hot(self._cell(), cells + 1)[..., :-1],
            crowd,
        )
        observation: npt.NDArray[np.float32] = np.concatenate(parts, axis=-1).astype(np.float32)
        return observation

    def _action_mask(self) -> npt.NDArray[np.bool_]:
        return np.stack([self.on_road, np.ones_like(self.on_road)], axis=-1)

    def _hears(self) -> npt.NDArray[np.bool_]:
        both: npt.NDArray[np.bool_] = self.on_road[:, :, None] & self.on_road[:, None]
        if self.settings.hears == "range":
            both &= chebyshev(self._where()) <= self.settings.range
        slots = np.arange(self.spec.agents)
        both[:, slots, slots] = False
        return both

    def distances(self) -> npt.NDArray[np.float32]:
        """In cells, Chebyshev, as hearing ranges are; a slot without a car is in the corner of the map."""
        return chebyshev(self._where()).astype(np.float32)

    def state(self) -> npt.NDArray[np.float32]:
        """Of every slot how long its car has been on the road, its cell and its route, one-hot: float32 [E, S]."""
        cells, routes = len(self.roads.cells), len(self.roads.length)
        own_route = np.where(self.on_road, self.route, routes)
        parts = (
            (self._steps_here / self.spec.episode_limit)[..., None],
            one_hot(self._cell(), cells + 1)[..., :-1],
            one_hot(own_route, routes + 1)[..., :-1],
        )
        state: npt.NDArray[np.float32] = np.concatenate(parts, axis=-1).astype(np.float32).reshape(self.count, -1)
        return state

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """Roads in grey, cars as discs, a ring around whoever has crashed in this step."""
        canvas = Canvas.grid(self.roads.size)
        for cell in self.roads.cells:
            canvas.fill(cell)
        for slot in np.flatnonzero(self.on_road[copy]):
            place = self._where()[copy, slot]
            canvas.disc(place, slot, self.spec.agents)
            if self._crashed[copy, slot]:
                canvas.ring(place, slot)
        return canvas.pixels


def _cell_names(map_: Roads) -> list[str]:
    return [f"cell = ({row}, {column})" for row, column in map_.cells]


def _route_names(map_: Roads) -> list[str]:
    return [f"route = {route}" for route in range(len(map_.length))]


def _observation_names(map_: Roads, vision: int) -> tuple[str, ...]:
    """What a car sees, in order."""
    around = range(-vision, vision + 1)
    cars = [f"cars at ({row:+d}, {column:+d})" if row or column else "cars here" for row in around for column in around]
    return ("has braked", *_route_names(map_), *_cell_names(map_), *cars)
