"""A small PettingZoo environment whose actions are made of several choices; `make`, `make_tuples` are its factories.

With `kind` "multi" actions are MultiDiscrete: of "crane" int8 with 3 x 2 choices counted from 1 and 0, of "loader"
2 x 2.  With "tuple" they are Tuples: of "crane" a Discrete of 3 counted from 5 and a MultiDiscrete of 2 x 2, of
"loader" two Discretes.  An agent earns a point for each choice, counted from 0, that is what it observes.  `masks` is
how the first choice's last value is told to be illegal at every second step: one mask per factor in a tuple ("parts"),
the same in one row ("row", the crane alone), of joint actions ("joint"), or not at all ("").

An action that is not of the agent's own space and type, or that a mask forbade, ends the process of whoever steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

STEPS = 5
SPACES: dict[str, dict[str, spaces.Space]] = {
    "multi": {
        "crane": spaces.MultiDiscrete([3, 2], dtype=np.int8, start=[1, 0]),
        "loader": spaces.MultiDiscrete([2, 2]),
    },
    "tuple": {
        "crane": spaces.Tuple((spaces.Discrete(3, start=5), spaces.MultiDiscrete([2, 2]))),
        "loader": spaces.Tuple((spaces.Discrete(2), spaces.Discrete(2))),
    },
}
SIZES = {"multi": {"crane": (3, 2), "loader": (2, 2)}, "tuple": {"crane": (3, 2, 2), "loader": (2, 2)}}


class FactoredTeam(ParallelEnv):
    def __init__(self, *, kind: str = "multi", masks: str = "parts") -> None:
        self.metadata = {"name": "factored_team"}
        self.render_mode = None
        self.max_cycles = STEPS
        self.possible_agents = ["crane", "loader"]
        self.agents: list[str] = []
        self.given: list[dict[str, Any]] = []
        self._kind, self._masks, self._step = kind, masks, 0
        self._acting, self._sizes = SPACES[kind], SIZES[kind]
        self._observed = {agent: spaces.Box(0, 2, (len(self._sizes[agent]),)) for agent in self.possible_agents}

    def observation_space(self, agent: str) -> spaces.Space:
        return self._observed[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self._acting[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        self._random = np.random.default_rng(seed)
        self.agents, self._step, self.given = list(self.possible_agents), 0, []
        return self._seen(), self._infos()

    def step(self, actions: dict[str, Any]) -> tuple[dict, dict, dict, dict, dict]:
        chosen = {agent: self.choices(agent, action) for agent, action in actions.items()}
        if self._masks and self._step % 2:
            illegal = [
                agent for agent in chosen if chosen[agent][0] == self._sizes[agent][0] - 1 and self._forbids(agent)
            ]
            if illegal:
                raise SystemExit(f"illegal: {illegal} in {actions}")
        self.given.append(actions)
        self._step += 1
        rewards = {agent: float((self._goal[agent] == chosen[agent]).sum()) for agent in actions}
        over = dict.fromkeys(self.agents, self._step >= STEPS)
        seen, infos, acted = self._seen(), self._infos(), self.agents
        if self._step >= STEPS:
            self.agents = []
        return seen, rewards, dict.fromkeys(acted, False), over, infos

    def choices(self, agent: str, action: Any) -> np.ndarray:
        """Counted from 0, of an action that must look like a sample of its space."""
        space = self._acting[agent]
        if _types(action) != _types(space.sample()) or not space.contains(action):
            raise SystemExit(f"no action of {agent}: {action!r}")
        first = 1 if self._kind == "multi" else 5
        start = np.array([first if agent == "crane" else 0] + [0] * (len(self._sizes[agent]) - 1))
        parts = action if isinstance(action, tuple) else (action,)
        return np.concatenate([np.reshape(part, -1) for part in parts]).astype(int) - start

    def _forbids(self, agent: str) -> bool:
        return self._masks != "row" or agent == "crane"

    def _seen(self) -> dict[str, np.ndarray]:
        self._goal = {agent: self._random.integers(self._sizes[agent]) for agent in self.agents}
        return {agent: goal.astype(np.float32) for agent, goal in self._goal.items()}

    def _infos(self) -> dict[str, dict[str, Any]]:
        if not self._masks:
            return {agent: {} for agent in self.agents}
        return {agent: {"action_mask": self._mask(agent)} for agent in self.agents}

    def _mask(self, agent: str) -> Any:
        parts = [np.ones(size, dtype=np.int8) for size in self._sizes[agent]]
        if self._step % 2 and self._forbids(agent):
            parts[0][-1] = 0
        if self._masks == "joint" or (self._masks == "row" and agent == "loader"):
            joint = np.ones(self._sizes[agent], dtype=np.int8)
            joint[np.flatnonzero(parts[0] == 0)] = 0
            return joint.reshape(-1)
        if self._masks == "row":
            return np.concatenate(parts)
        # As gymnasium nests the masks of a Tuple: of a MultiDiscrete inside it, a tuple of its own.
        nested = self._kind == "tuple" and agent == "crane"
        return (parts[0], (parts[1], parts[2])) if nested else tuple(parts)


def _types(action: Any) -> Any:
    return tuple(map(_types, action)) if isinstance(action, tuple) else (type(action), getattr(action, "dtype", None))


def make(**parameters: Any) -> FactoredTeam:
    return FactoredTeam(**parameters)


def make_tuples() -> FactoredTeam:
    return FactoredTeam(kind="tuple")
