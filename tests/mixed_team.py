"""A small PettingZoo environment of a team with discrete and continuous actions; `make` is its factory.

Agent "crane" chooses one of 5 places, counted from 10, "boat" gives 2 numbers, between -2 and 2 and between 0 and 1,
and with `buoy` a third agent gives 1, between -1 and 1, and a fourth, "lamp", one of 3 colours and 2 signs
(MultiDiscrete).  Crane and boat each observe what the other must do, so a team that talks can do what one that does not
can only guess; both earn more the better it is done.  With `masks` the crane may not use its last place at odd steps.

The world ends its process at an action that is not of the agent's own space or is masked, so every step that is taken
shows that it was.  Actions are kept as the environment got them, in `given`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

STEPS = 5
PLACES, FIRST_PLACE = 5, 10


class MixedTeam(ParallelEnv):
    def __init__(self, *, masks: bool = False, buoy: bool = False) -> None:
        self.metadata = {"name": "mixed_team"}
        self.render_mode = None
        self.max_cycles = STEPS
        self._masks = masks
        self.possible_agents = ["crane", "boat", *(["buoy", "lamp"] if buoy else [])]
        self.agents: list[str] = []
        self.given: list[dict[str, Any]] = []
        self._step = 0
        self._acting: dict[str, spaces.Space] = {
            "crane": spaces.Discrete(PLACES, start=FIRST_PLACE),
            "boat": spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32)),
            "buoy": spaces.Box(-1.0, 1.0, (1,), np.float32),
            "lamp": spaces.MultiDiscrete([3, 2]),
        }
        self._observed = {agent: spaces.Box(-99, 99, (2,)) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> spaces.Space:
        return self._observed[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self._acting[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        self._random = np.random.default_rng(seed)
        self.agents, self._step, self.given = list(self.possible_agents), 0, []
        return self._seen(), self._infos()

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        for agent, action in actions.items():
            if not self._acting[agent].contains(action):
                raise SystemExit(f"no action of {agent}: {action!r}")
        if self._masks and self._step % 2 and actions["crane"] == FIRST_PLACE + PLACES - 1:
            raise SystemExit("the crane's last place is masked")
        self.given.append(actions)
        self._step += 1
        right = float(actions["crane"] == FIRST_PLACE + self._place)
        near = 1 - float(np.abs(actions["boat"] - self._course).sum()) / 4
        acted, over = self.agents, self._step >= STEPS
        seen = self._seen()
        if over:
            self.agents = []
        ends = dict.fromkeys(acted, over)
        return seen, dict.fromkeys(acted, right + near), dict.fromkeys(acted, False), ends, self._infos(acted)

    def _seen(self) -> dict[str, np.ndarray]:
        self._place = int(self._random.integers(PLACES))
        self._course = self._random.uniform([-2, 0], [2, 1]).astype(np.float32)
        nothing = np.zeros(2, dtype=np.float32)
        seen = {"crane": self._course, "boat": np.array([self._place / PLACES, 1.0], dtype=np.float32)}
        return {agent: seen.get(agent, nothing) for agent in self.possible_agents}

    def _infos(self, agents: list[str] | None = None) -> dict[str, dict[str, Any]]:
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in (self.agents if agents is None else agents)}
        if self._masks:
            mask = np.ones(PLACES, dtype=np.int8)
            mask[-1] = self._step % 2 == 0
            infos["crane"]["action_mask"] = mask
        return infos


def make(**parameters: Any) -> MixedTeam:
    return MixedTeam(**parameters)
