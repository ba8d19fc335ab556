"""A small PettingZoo environment with everything that adapters stumble over; `make` is its factory.

Agent "scout" sees 2 numbers and has 2 actions, "carrier" 3 and 4, numbered from 10.  The scout leaves at the step
`scout_leaves`: its part is then terminated, or truncated with `scout_cut`.  The carrier is terminated at
`carrier_ends`, if ever.  Every reward is the action, as the environment numbers it.  `fault` breaks one promise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class ForeignTeam(ParallelEnv):
    def __init__(
        self,
        *,
        scout_leaves: int = 100,
        scout_cut: bool = False,
        carrier_ends: int = 100,
        max_cycles: int | None = 5,
        offers: tuple[str, ...] = (),
        fault: str = "",
    ) -> None:
        self.metadata = {"name": "foreign_team"}
        self.render_mode = None
        self.possible_agents = ["scout", "carrier"]
        self.agents: list[str] = []
        if max_cycles is not None:
            self.max_cycles = max_cycles
        self._leaves = {"scout": scout_leaves, "carrier": carrier_ends}
        self._scout_cut, self._offers, self._fault = scout_cut, offers, fault
        self._limit = max_cycles or 1000
        self._step = 0
        self._observed = {
            "scout": spaces.Box(-np.inf, np.inf, (2,), np.float32),
            "carrier": spaces.Box(-np.inf, np.inf, (3, 1), np.float32),
        }
        self._acting: dict[str, spaces.Space] = {
            "scout": spaces.Discrete(2),
            "carrier": spaces.Discrete(4, start=10),
        }

    def observation_space(self, agent: str) -> spaces.Space:
        return self._observed[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self._acting[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        if self._fault == "reset":
            raise ZeroDivisionError("by the environment itself")
        self._random = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self._step = 0
        return self._seen(), self._infos(won=False)

    def step(self, actions: dict[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        assert set(actions) == set(self.agents)
        assert all(self._acting[agent].contains(action) for agent, action in actions.items())
        self._step += 1
        gone = {agent: self._step >= self._leaves[agent] for agent in self.agents}
        late = self._step >= self._limit
        cut = {agent: late or (gone[agent] and agent == "scout" and self._scout_cut) for agent in self.agents}
        terminated = {agent: gone[agent] and not cut[agent] for agent in self.agents}
        observations, infos = self._seen(), self._infos(won=terminated.get("carrier", False))
        rewards = {agent: float(action) for agent, action in actions.items()}
        if self._fault == "reward":
            rewards["carrier"] = float("inf")
        self.agents = [agent for agent in self.agents if not terminated[agent] and not cut[agent]]
        return observations, rewards, terminated, cut, infos

    def _seen(self) -> dict[str, np.ndarray]:
        seen = {agent: self._random.random(self._observed[agent].shape, dtype=np.float32) for agent in self.agents}
        if self._step == 1 and self._fault == "nan":
            seen["carrier"][1] = np.nan
        if self._step == 1 and self._fault == "shape":
            seen["carrier"] = np.zeros(4, dtype=np.float32)
        if self._step == 1 and self._fault == "missing":
            del seen["carrier"]
        return seen

    def _infos(self, *, won: bool) -> dict[str, dict[str, Any]]:
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        for agent in self.agents:
            if key := next((each for each in ("neighbours", "hears") if each in self._offers), None):
                # Directed, and the other way round at every second step.
                listener = "scout" if self._step % 2 == 0 else "carrier"
                others = [other for other in self.possible_agents if other != agent]
                infos[agent][key] = others if agent == listener else []
            if "won" in self._offers:
                infos[agent]["is_success"] = won
            if "mask" in self._offers:
                infos[agent]["action_mask"] = np.arange(int(self._acting[agent].n)) >= 1
        if self._fault == "hears":
            infos["scout"]["hears"] = ["nobody"]
        if self._fault == "mask":
            infos["scout"]["action_mask"] = np.zeros(2, dtype=np.int8)
        return infos


def make(**parameters: Any) -> ForeignTeam:
    return ForeignTeam(**parameters)


def make_quiet(**parameters: Any) -> Any:
    """A factory whose product hides its episode limit."""
    return ForeignTeam(max_cycles=None, **parameters)
