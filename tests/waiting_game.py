"""A PettingZoo environment whose episodes differ in length and in how they end; `make` is its factory.

Two agents see (seed of the episode / 1000, the step, the joint action before) and have three actions.  By its seed an
episode takes 2 to 5 steps and ends by termination or by time; in every fifth one the second agent leaves after the
first step.  An agent earns `reward_factor` times its action plus a tenth of the step.  The first agent hears the second
at even steps, the second the first at odd ones.  It is won if the last joint action adds up to an even number.  At its
`announce_at`-th step, over all copies, in every process or in the rank `announce_on`, it says so on stderr, for whoever
waits for a process to be amid its work, and where the variable HELD_UNTIL names a file, it goes on once that is there;
from its `stuck_at`-th step it says so and never returns, and where it is made if it is `stuck_when_made`.  From its
`large_at`-th step in the rank `large_on` it says so, and rewards are too large for single precision.  Episodes that are
`endless` end by no step; where there is an `until`, by the first step after that file is there.  At its `exits_at`-th
step it ends its process, with success, at its `killed_at`-th without a word.  `make_without_limit` makes one that does
not tell how long an episode can be.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

NAMES = ("left", "right")
ANNOUNCEMENT = "waiting game: announced"
HELD_UNTIL = "WAITING_GAME_HELD_UNTIL"


class WaitingGame(ParallelEnv):
    steps_made = 0
    """By all copies of this process together."""

    def __init__(
        self,
        *,
        early_leavers: bool = True,
        all_heard: bool = False,
        announce_at: int = 0,
        announce_on: int | None = None,
        stuck_at: int = 0,
        stuck_when_made: bool = False,
        exits_at: int = 0,
        killed_at: int = 0,
        large_at: int = 0,
        large_on: str = "",
        reward_factor: float = 1.0,
        endless: bool = False,
        until: str = "",
    ) -> None:
        if stuck_when_made:
            announce()
            threading.Event().wait()
        self.metadata = {"name": "waiting_game"}
        self.render_mode = None
        self.possible_agents = list(NAMES)
        self.agents: list[str] = []
        self.max_cycles = 10**9 if endless or until else 5
        self._endless, self._until = endless, Path(until) if until else None
        self._early_leavers, self._all_heard = early_leavers, all_heard
        self._stuck_at, self._exits_at, self._killed_at = stuck_at, exits_at, killed_at
        self._reward_factor = reward_factor
        rank = os.environ.get("RANK", "")
        self._announce_at = announce_at if announce_on is None or str(announce_on) == rank else 0
        self._large_at = large_at if large_on == rank else 0

    def observation_space(self, agent: str) -> spaces.Space:
        return spaces.Box(-np.inf, np.inf, (4,), np.float32)

    def action_space(self, agent: str) -> spaces.Space:
        return spaces.Discrete(3)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        self._seed, self._step, self._joint = int(seed or 0), 0, {name: 0 for name in NAMES}
        self.agents = list(NAMES)
        return self._seen(), self._infos(self.agents)

    def step(self, actions: dict[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        assert set(actions) == set(self.agents)
        self._step += 1
        self._joint |= actions
        WaitingGame.steps_made += 1
        if WaitingGame.steps_made == self._announce_at:
            announce()
            while HELD_UNTIL in os.environ and not Path(os.environ[HELD_UNTIL]).exists():
                threading.Event().wait(0.01)
        if self._stuck_at and WaitingGame.steps_made >= self._stuck_at:
            announce()
            threading.Event().wait()
        if WaitingGame.steps_made == self._exits_at:
            sys.exit(0)
        if WaitingGame.steps_made == self._killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._large_at and WaitingGame.steps_made >= self._large_at:
            announce()
            self._large_at, self._reward_factor = 0, 1e30
        over, terminal = self._is_over(), self._seed % 3 == 0
        leaves = self._early_leavers and self._seed % 5 == 0
        terminated = {name: (over and terminal) or (leaves and name == "right") for name in self.agents}
        cut = {name: over and not terminated[name] for name in self.agents}
        rewards = {name: self._reward_factor * (float(action) + 0.1 * self._step) for name, action in actions.items()}
        infos = self._infos(self.agents)
        self.agents = [name for name in self.agents if not terminated[name] and not cut[name]]
        return self._seen(), rewards, terminated, cut, infos

    def _is_over(self) -> bool:
        if self._until is not None:
            return self._until.exists()
        return not self._endless and self._step >= 2 + self._seed % 4

    def _seen(self) -> dict[str, np.ndarray]:
        seen = np.array([self._seed % 997 / 1000, self._step, *self._joint.values()], dtype=np.float32)
        return {name: seen for name in NAMES}

    def _infos(self, present: list[str]) -> dict[str, dict[str, Any]]:
        infos: dict[str, dict[str, Any]] = {name: {"won": sum(self._joint.values()) % 2 == 0} for name in present}
        if not self._all_heard:
            listener = NAMES[self._step % 2]
            for name in present:
                infos[name]["hears"] = [other for other in NAMES if other != name] if name == listener else []
        return infos


def announce() -> None:
    sys.stderr.write(f"{ANNOUNCEMENT} pid={os.getpid()}\n")  # at once: ranks share the stream
    sys.stderr.flush()


def make(**parameters: Any) -> WaitingGame:
    return WaitingGame(**parameters)


def make_without_limit(**parameters: Any) -> WaitingGame:
    game = WaitingGame(**parameters)
    del game.max_cycles
    return game
