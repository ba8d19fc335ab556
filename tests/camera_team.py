"""A small PettingZoo environment whose agents see images; `make` is its factory.

Each of two agents sees a lit spot in one of three columns, in its own colour, and is paid for naming the other's
column.  `sides` are height and width; `channels_first` gives images as [3, H, W], `kind` is the images' type and
`unequal` adds a fourth action for the second agent.  `fault` breaks one promise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

STEPS = 4
COLUMNS = 3


class CameraTeam(ParallelEnv):
    def __init__(
        self,
        *,
        sides: tuple[int, int] = (8, 8),
        channels_first: bool = False,
        kind: str = "uint8",
        unequal: bool = False,
        fault: str = "",
    ) -> None:
        self.metadata = {"name": "camera_team"}
        self.render_mode = None
        self.max_cycles = STEPS
        self.possible_agents = ["left", "right"]
        self.agents: list[str] = []
        self._sides, self._first, self._kind = tuple(sides), channels_first, kind
        self._fault, self._unequal = fault, unequal
        self._step = 0

    def observation_space(self, agent: str) -> spaces.Space:
        if self._fault == "vector" and agent == "right":
            return spaces.Box(-1, 1, (5,))
        wider = int(self._fault == "mixed" and agent == "right")
        sides = (self._sides[0], self._sides[1] + wider)
        shape = (3, *sides) if self._first else (*sides, 3)
        low, high = (0, 255) if self._kind == "uint8" else (-1, 3)
        space = spaces.Box(low, high, shape, np.dtype(self._kind).type)
        return spaces.Dict({"camera": space, "speed": spaces.Box(0, 1, (1,))}) if self._fault == "part" else space

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Discrete(COLUMNS + (self._unequal and agent == "right"))

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        self._random = np.random.default_rng(seed)
        self.agents, self._step = list(self.possible_agents), 0
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        rewards = {
            agent: float(actions[agent] == self._column[1 - slot]) + 0.01 * float(actions[agent])
            for slot, agent in enumerate(self.possible_agents)
        }
        self._step += 1
        seen, acted = self._seen(), self.agents
        over = dict.fromkeys(acted, self._step >= STEPS)
        if self._step >= STEPS:
            self.agents = []
        return seen, rewards, dict.fromkeys(acted, False), over, {agent: {} for agent in acted}

    def _seen(self) -> dict[str, np.ndarray]:
        self._column = self._random.integers(0, COLUMNS, 2)
        height, width = self._sides
        seen = {}
        for slot, agent in enumerate(self.possible_agents):
            low, high = (0, 255) if self._kind == "uint8" else (-1, 3)
            image = np.full((height, width, 3), low, self._kind)
            image[self._random.integers(height), self._column[slot] * (width // COLUMNS), slot] = high
            seen[agent] = np.moveaxis(image, -1, 0) if self._first else image
        return seen


def make(**parameters: Any) -> CameraTeam:
    return CameraTeam(**parameters)
