"""Traffic Junction car by car in plain Python: the rules again, written down without arrays, for the tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MEDIUM = 14
STRAIGHT_DOWN = [(row, 6) for row in range(14)]
DOWN_THEN_WEST = [*((row, 6) for row in range(7)), *((6, column) for column in range(5, -1, -1))]
DOWN_THEN_EAST = [*((row, 6) for row in range(8)), *((7, column) for column in range(7, 14))]
"""The routes from the top of the junction of two-way roads: straight on, right, left."""


@dataclass
class Car:
    """One that is on the road."""

    route: int
    path: list[tuple[int, int]]
    behind: int = 0
    steps: int = 0
    braked: bool = False

    @property
    def cell(self) -> tuple[int, int]:
        return self.path[self.behind]


class Junction:
    """One episode, from what was drawn for it: who arrives, in which order slots are taken, and with which route."""

    def __init__(
        self,
        paths: list[list[tuple[int, int]]],
        *,
        slots: int,
        arrives: np.ndarray,
        order: np.ndarray,
        drawn: np.ndarray,
    ) -> None:
        self.paths, self.arrives, self.order, self.drawn = paths, arrives, order, drawn
        self.cars: list[Car | None] = [None] * slots
        self.won, self.step_number = True, 0

    def step(self, actions: list[int]) -> list[float]:
        """Rewards of all slots."""
        for slot, car in enumerate(self.cars):
            if car is None:
                continue
            car.steps += 1
            car.braked = actions[slot] == 1
            if not car.braked:
                if car.behind + 1 == len(car.path):
                    self.cars[slot] = None
                else:
                    car.behind += 1
        entries = self.arrives.shape[1]
        for entry in range(entries):
            free = [slot for slot, car in enumerate(self.cars) if car is None]
            if not free or not self.arrives[self.step_number, entry]:
                continue
            slot = min(free, key=lambda each: self.order[self.step_number, entry, each])
            route = entry * (len(self.paths) // entries) + int(self.drawn[self.step_number, entry])
            self.cars[slot] = Car(route, self.paths[route])
        self.step_number += 1
        return [self._reward(car) for car in self.cars]

    def _reward(self, car: Car | None) -> float:
        if car is None:
            return 0.0
        reward = -0.01 * car.steps
        if sum(other is not None and other.cell == car.cell for other in self.cars) > 1:
            self.won = False
            reward -= 10.0
        return reward
