"""A double of gfootball 2.10.2: what its match takes and returns, over a game of its own.

The ball is carried to the right (action 5), lost (16), or shot into one's own goal (18).
Fields, shapes and types of what is observed are those that gfootball 2.10.2 was seen to return; so are the reward of
every agent, the four values of a step, the extra step before time is out, and the seed that `Config` must hold.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

US, THEM, DURATION = 3, 2, 400


class Config(dict[str, Any]):
    """The real one is no dict, but is read and written as one."""


class FootballEnv:
    def __init__(self, config: Config) -> None:
        self._config = config
        (player,) = config["players"]
        self._agents = int(player.removeprefix("agent:left_players="))
        assert config["level"].startswith("academy_")
        self._running = False

    def reset(self) -> list[dict[str, Any]]:
        seed = self._config["game_engine_random_seed"]
        assert 0 <= seed < 2_000_000_000
        assert self._config["reverse_team_processing"] == bool(seed % 2)
        self._random = np.random.default_rng(seed)
        self._ball, self._step, self._score, self._running = 0.0, 0, [0, 0], True
        self._owner = -1
        return self._seen()

    def step(self, actions: list[int]) -> tuple[list[dict[str, Any]], np.ndarray, bool, dict[str, Any]]:
        assert self._running, "Cant call step() once episode finished"
        assert len(actions) == self._agents
        assert all(type(action) is int for action in actions)
        self._step += 1
        carrier = actions[0]
        self._owner = 0
        self._ball += 0.125 * (carrier == 5) + 0.001 * self._random.standard_normal()
        goal = int(self._ball >= 1) - int(carrier == 18)
        self._score[goal < 0] += abs(goal)
        lost = carrier == 16
        self._running = not (goal or lost or self._step > DURATION)
        reward = np.full(self._agents, goal, dtype=np.float32)
        return self._seen(), reward, not self._running, {"score_reward": goal}

    def _seen(self) -> list[dict[str, Any]]:
        shared = {
            "ball": np.array([self._ball, 0.0, 0.1]),
            "ball_direction": np.zeros(3),
            "ball_owned_team": self._owner,
            "ball_owned_player": 0 if self._owner == 0 else -1,
            "left_team": np.full((US, 2), 0.25),
            "left_team_direction": np.full((US, 2), 0.01),
            "right_team": np.full((THEM, 2), 0.75),
            "right_team_direction": np.zeros((THEM, 2)),
            "game_mode": 0,
            "score": list(self._score),
            "steps_left": DURATION + 1 - self._step,
        }
        return [shared | {"active": agent} for agent in range(self._agents)]

    def close(self) -> None:
        self._running = False


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports of gfootball get the double, installed or not."""
    env = ModuleType("gfootball.env")
    env.__dict__.update(config=SimpleNamespace(Config=Config), football_env=SimpleNamespace(FootballEnv=FootballEnv))
    package = ModuleType("gfootball")
    package.__spec__ = ModuleSpec("gfootball", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "gfootball"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gfootball", package)
    monkeypatch.setitem(sys.modules, "gfootball.env", env)
