"""A small PettingZoo environment with continuous actions of unequal sizes; `make` is its factory.

Agent "mast" has 2 numbers to give, between -2 and 2, "oar" has 1, between 0 and 0.5.  Each observes where it is and
where the other must go; the reward of both is less, the further they are from there.  Actions are kept as the
environment got them, in `given`.  `fault` breaks one promise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

STEPS = 5
SIZES = {"mast": 2, "oar": 1}


class SteeringTeam(ParallelEnv):
    def __init__(self, *, fault: str = "") -> None:
        self.metadata = {"name": "steering_team"}
        self.render_mode = None
        self.max_cycles = STEPS
        self.possible_agents = list(SIZES)
        self.agents: list[str] = []
        self.given: list[dict[str, np.ndarray]] = []
        self._step = 0
        self._acting: dict[str, spaces.Space] = {
            "mast": spaces.Box(-2.0, np.inf if fault == "unbounded" else 2.0, (2,), np.float32),
            "oar": spaces.Box(0.0, 0.5, (1,), np.float32),
        }
        if fault == "integers":
            self._acting["oar"] = spaces.Box(0, 3, (1,), np.int8)
        if fault == "many":
            self._acting["oar"] = spaces.MultiBinary(2)
        self._observed = {"mast": spaces.Box(-99, 99, (3,)), "oar": spaces.Box(-99, 99, (3,))}

    def observation_space(self, agent: str) -> spaces.Space:
        return self._observed[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self._acting[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        random = np.random.default_rng(seed)
        self.agents, self._step, self.given = list(self.possible_agents), 0, []
        self._place = {name: random.uniform(-1, 1, size).astype(np.float32) for name, size in SIZES.items()}
        self._goal = {name: random.uniform(-1, 1, size).astype(np.float32) for name, size in SIZES.items()}
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, np.ndarray]) -> tuple[dict, dict, dict, dict, dict]:
        assert all(self._acting[agent].contains(action) for agent, action in actions.items()), actions
        self.given.append(actions)
        self._step += 1
        for agent, action in actions.items():
            self._place[agent] = self._place[agent] + action
        distance = sum(float(np.abs(self._place[agent] - self._goal[agent]).sum()) for agent in SIZES)
        over = dict.fromkeys(self.agents, self._step >= STEPS)
        seen, acted = self._seen(), self.agents
        if self._step >= STEPS:
            self.agents = []
        rewards, infos = dict.fromkeys(acted, -distance), {agent: {} for agent in acted}
        return seen, rewards, dict.fromkeys(acted, False), over, infos

    def _seen(self) -> dict[str, np.ndarray]:
        return {
            "mast": np.concatenate([self._place["mast"], self._goal["oar"]]),
            "oar": np.concatenate([self._place["oar"], self._goal["mast"]]),
        }


def make(**parameters: Any) -> SteeringTeam:
    return SteeringTeam(**parameters)
