"""One football match as a parallel environment, and how gfootball is loaded.

Built on gfootball's match itself and on none of its gym wrappers, which fail with gym 0.26, the last that there is.
For `heliograph.environments.football`.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

ACTIONS = 19
"""Gfootball's `default` set, which begins with doing nothing."""
SQUAD = 11
"""Players per team that an observation has room for."""
MODES = 7
OBSERVATION = 4 * 2 * SQUAD + 3 + 3 + 3 + SQUAD + MODES
"""Numbers of gfootball's representation `simple115v2`: 115."""

_ABSENT = -1.0
_TEAMS = ("left_team", "left_team_direction", "right_team", "right_team_direction")
_CHECKPOINTS = np.linspace(0.99, 0.19, 10)
"""Distances from the opponents' goal; whoever first has the ball that near gets 0.1 (Kurach et al., 2020)."""
_CHECKPOINT_REWARD = 0.1
_SEEDS = 2_000_000_000
"""The engine's seeds are smaller."""


@cache
def loaded() -> tuple[Any, Any]:
    """Gfootball's modules `config` and `football_env`, loaded quietly.  Raises ImportError."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # pygame greets on stdout
    # gym tells everybody on stderr that nobody maintains it; nothing here can change that.
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from gfootball.env import config, football_env
    return config, football_env


def simple115(seen: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """float32 [115]: gfootball's `simple115v2` of one agent's raw observation.

    Players' places (x, y) and directions of both teams, -1 for those that a scenario lacks; the ball's place and
    direction (x, y, z); who has it (nobody, we, they); which of our players is this agent's; and the mode of the game.
    """
    values = np.full(OBSERVATION, _ABSENT, dtype=np.float32)
    for place, team in enumerate(_TEAMS):
        numbers = np.ravel(seen[team])
        values[22 * place : 22 * place + numbers.size] = numbers
    values[88:94] = (*seen["ball"], *seen["ball_direction"])
    values[94:] = 0.0
    values[94 + seen["ball_owned_team"] + 1] = 1.0
    if seen["active"] >= 0:
        values[97 + seen["active"]] = 1.0
    values[97 + SQUAD + seen["game_mode"]] = 1.0
    return values


class Match:
    """What `ParallelVector` takes: our players against gfootball's own, all of ours with the same goals.

    Where all of our players are agents, each plays the same one all the time.  Where they are fewer, the game chooses
    at every step whom they play; observations say whom.
    """

    def __init__(self, scenario: str, *, agents: int, checkpoints: bool, step_limit: int) -> None:
        """`agents` act for our players, and the game for the rest; `checkpoints` also pays for the way to the goal."""
        config, football_env = loaded()
        self._config = config.Config({"level": scenario, "players": [f"agent:left_players={agents}"]})
        self._match = football_env.FootballEnv(self._config)
        self._checkpoints, self.max_episode_steps = checkpoints, step_limit
        self.possible_agents = [f"player_{number}" for number in range(agents)]
        self.agents: list[str] = []
        self._observed = spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float32)
        self._acting: spaces.Space[Any] = spaces.Discrete(ACTIONS)
        self._reached = [0] * agents  # checkpoints, by agent

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self._observed

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self._acting

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        drawn = int(np.random.default_rng(seed).integers(_SEEDS)) if seed is None else seed % _SEEDS
        # The engine draws both for itself otherwise, of a generator that is the whole process's.
        self._config["game_engine_random_seed"] = drawn
        self._config["reverse_team_processing"] = bool(drawn % 2)
        seen = self._match.reset()
        self.agents = list(self.possible_agents)
        self._reached = [0] * len(self.agents)
        return self._seen(seen), {agent: {"won": False} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[dict[str, Any], ...]:
        """Every end is a termination but that of the limit, which is reached before the engine would count it out."""
        seen, rewards, over, info = self._match.step([actions[agent] for agent in self.possible_agents])
        goal = info["score_reward"]
        acted, self.agents = self.agents, [] if over else self.agents
        paid = {
            agent: float(rewards[slot]) + (self._checkpoint_reward(slot, seen[slot], goal) if self._checkpoints else 0)
            for slot, agent in enumerate(acted)
        }
        ends, cuts = dict.fromkeys(acted, bool(over)), dict.fromkeys(acted, False)
        return self._seen(seen), paid, ends, cuts, {agent: {"won": goal > 0} for agent in acted}

    def _checkpoint_reward(self, slot: int, seen: Mapping[str, Any], goal: int) -> float:
        """What an agent gets beside goals: for each checkpoint once, and for all that are left with its team's goal."""
        before = self._reached[slot]
        if goal > 0:
            self._reached[slot] = len(_CHECKPOINTS)
        elif seen["ball_owned_team"] == 0 and seen["ball_owned_player"] == seen["active"]:
            distance = np.hypot(seen["ball"][0] - 1, seen["ball"][1])
            self._reached[slot] = max(before, int((distance <= _CHECKPOINTS).sum()))
        return _CHECKPOINT_REWARD * (self._reached[slot] - before)

    def _seen(self, seen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {agent: simple115(own) for agent, own in zip(self.possible_agents, seen, strict=True)}

    def close(self) -> None:
        self._match.close()
