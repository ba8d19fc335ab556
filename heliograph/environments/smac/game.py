"""One battle of SMAC or SMACv2: the simulator `smacv2`, and the game that it starts, behind our interface.

Runs in a worker process only: it seeds that process's global generators and ends it when the game breaks.

What a seed fixes.  The simulator takes a seed when it is made and hands it to StarCraft II at each start of the game,
which then plays all its episodes from one random stream.  Of an episode, its seed fixes what Python draws: unit types
and places of SMACv2, and who sees what.  The game's own randomness follows from the seed of the first episode after a
start and from everything played since, unless `relaunch` starts it anew for each episode.

Axis legend: E = 1 copy, N agents, D observation, A actions, S state.
"""

from __future__ import annotations

import os
import random
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.smac.settings import OPERATIONAL, BattleSettings, Smacv2Settings
from heliograph.environments.vector import (
    AgentInputs,
    EnvironmentSpec,
    Transition,
    VectorEnvironment,
    checked_actions,
    checked_seeds,
)
from heliograph.errors import WorldError

_STOP = 1
"""Legal for every living unit; for a dead one only 0 is."""
_RESET_ATTEMPTS = 3


class SmacGame(VectorEnvironment):
    """One copy.  A dead unit stays present, sees zeros and can do nothing but 0; only the team's battle ends.

    An episode is lost where the simulator restarts a game that has crashed.  An exception of the simulator ends the
    process, which its worker then starts again.
    """

    def __init__(self, settings: BattleSettings, *, id: str, count: int) -> None:
        """Make the simulator, which starts no game yet.  `count` must be 1: a crash takes no other copy along."""
        assert count == 1
        self.count = count
        self._settings, self._id = settings, id
        self._make(seed=None)
        info = self._simulator.get_env_info()
        self._spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json", exclude=set(OPERATIONAL)),
            agents=int(info["n_agents"]),
            observation_size=int(info["obs_shape"]),
            actions=int(info["n_actions"]),
            episode_limit=int(info["episode_limit"]),
            complete_graph=settings.hears == "all",
            outcome="won",
            idle_action=_STOP,
            has_action_mask=True,
            state_size=int(info["state_shape"]),
            renders=True,
        )
        self._elapsed = 0
        self._saved = 0
        self._running = False
        self._agent_inputs = self._nothing()

    def _make(self, *, seed: int | None) -> None:
        from smacv2.env import StarCraft2Env, StarCraftCapabilityEnvWrapper

        wrapped = isinstance(self._settings, Smacv2Settings)
        factory = StarCraftCapabilityEnvWrapper if wrapped else StarCraft2Env
        # The name of a replay holds nothing but this and the second, and several processes save into one folder.
        prefix = f"{self._id}_{os.getpid()}"
        self._simulator = factory(seed=seed, replay_prefix=prefix, **self._settings.arguments())
        self._game = self._simulator.env if wrapped else self._simulator
        self._draws = list(self._simulator.env_key_to_distribution_map.values()) if wrapped else []
        # Not every version of the simulator has it; an empty tuple catches nothing.
        self._cannot_reset = getattr(sys.modules[StarCraft2Env.__module__], "CannotResetException", ())
        self._started = False
        self._finished = 0
        """Episodes of this game.  At 0 a reset makes the simulator anew: with a first episode unfinished it would start
        a second game beside the first, and after a crash wait for units to die that the new game does not have."""

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        if not chosen.size:
            return self._agent_inputs
        with self._ending_the_process():
            self._begin(int(given[-1]))
            self._agent_inputs = self._perceived()
        self._elapsed = 0
        self._running = True
        return self._agent_inputs

    def _begin(self, seed: int) -> None:
        """Start an episode.  What the simulator's `reset` returns is None at times, so nobody looks at it."""
        for _ in range(_RESET_ATTEMPTS):
            fresh = not self._finished or self._settings.relaunch
            if fresh:
                if self._started:
                    self._simulator.close()
                self._make(seed=int(np.random.SeedSequence(seed).generate_state(1)[0]))
            self._seed_python(seed)
            self._started = True
            unscaled, restarts = self._game.max_reward, self._game.force_restarts
            try:
                self._simulator.reset()
            except self._cannot_reset:
                continue  # not all units appeared
            if self._game.force_restarts == restarts:
                if fresh:
                    # Rewards are scaled by it, and the simulator adds the enemies once per look at a field that fills.
                    enemies = self._game.enemies.values()
                    self._game.max_reward = unscaled + sum(enemy.health_max + enemy.shield_max for enemy in enemies)
                return
            self._finished = 0  # the units are those of the game before the crash
        raise WorldError(f"adapter of {self._id!r}: no episode began in {_RESET_ATTEMPTS} attempts")

    def _seed_python(self, seed: int) -> None:
        source = np.random.default_rng(seed)
        random.seed(seed)
        np.random.seed(int(source.integers(2**32)))
        for draw in self._draws:
            _seed_generators(draw, source)

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if no episode is running."""
        if not self._running:
            raise WorldError("copy 0 has no running episode", remedy="Reset it before its next step")
        legal = checked_actions(actions, mask=self._agent_inputs.action_mask)
        with self._ending_the_process():
            reward, over, info = self._simulator.step([int(action) for action in legal[0]])
            self._elapsed += 1
            lost = over and "battle_won" not in info  # the game has crashed and was started again
            self._agent_inputs = self._nothing() if lost else self._perceived()
        won = bool(info.get("battle_won", False))
        cut = bool(info.get("episode_limit", False)) or (self._elapsed >= self.spec.episode_limit and not over)
        over = bool(over) or cut
        self._running = not over
        if lost:
            self._finished = 0
        elif over:
            self._finished += 1
            self._save_replay()
        return Transition(
            agent_inputs=self._agent_inputs,
            reward=np.full((1, self.spec.agents), reward, dtype=np.float32),
            terminated=np.full((1, self.spec.agents), over and not cut and not lost),
            truncated=np.array([cut]),
            over=np.array([over]),
            outcome=np.array([won if over and not lost else np.nan], dtype=np.float32),
            lost=np.array([lost]),
        )

    def _save_replay(self) -> None:
        self._saved += 1
        if self._settings.save_replay_every and self._saved % self._settings.save_replay_every == 0:
            self._simulator.save_replay()

    def _perceived(self) -> AgentInputs:
        agents = range(self.spec.agents)
        # Agent by agent: what the call for all returns differs between versions of the wrapper.
        mask = [self._simulator.get_avail_agent_actions(agent) for agent in agents]
        return AgentInputs(
            observation=np.stack(self._simulator.get_obs()).astype(np.float32)[None],
            action_mask=np.array(mask, dtype=bool)[None],
            hears=self._hears()[None],
            present=np.ones((1, self.spec.agents), dtype=bool),
        )

    def _hears(self) -> npt.NDArray[np.bool_]:
        """bool [N, N]."""
        agents = self.spec.agents
        others = ~np.eye(agents, dtype=bool)
        if self._settings.hears == "all":
            return others
        return np.asarray(self._simulator.get_visibility_matrix(), dtype=bool)[:, :agents] & others

    def _nothing(self) -> AgentInputs:
        """Before the first episode and after a lost one."""
        agents = self.spec.agents
        others = ~np.eye(agents, dtype=bool) & self.spec.complete_graph
        return AgentInputs(
            observation=np.zeros((1, agents, self.spec.observation_size), dtype=np.float32),
            action_mask=np.ones((1, agents, self.spec.actions), dtype=bool),
            hears=others[None],
            present=np.zeros((1, agents), dtype=bool),
        )

    def state(self) -> npt.NDArray[np.float32]:
        """See VectorEnvironment; zeros where no episode has begun, or the last one was lost."""
        if not self._agent_inputs.present.any():
            return np.zeros((1, self.spec.state_size), dtype=np.float32)
        with self._ending_the_process():
            return np.asarray(self._simulator.get_state(), dtype=np.float32)[None]

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """Units as discs on the ground, drawn by the simulator.  An episode must have begun."""
        if not self._started:
            raise WorldError(f"environment {self._id!r} cannot be drawn before its first reset")
        return np.asarray(self._game.render(mode="rgb_array")).astype(np.uint8)

    def close(self) -> None:
        """End the game."""
        if self._started:
            self._simulator.close()

    @contextmanager
    def _ending_the_process(self) -> Iterator[None]:
        """Whatever the simulator raises, its game is in no known state: leave the rest to the worker's restart.

        Except where another start would not help, because the game or a map is not there.
        """
        try:
            yield
        except WorldError:
            raise
        except (FileNotFoundError, ValueError) as error:
            raise WorldError(
                f"adapter of {self._id!r}: {type(error).__name__}: {error}",
                remedy="See what is missing with: heliograph doctor smac",
            ) from error
        except Exception as error:
            traceback.print_exc()
            raise SystemExit(1) from error


def _seed_generators(owner: Any, source: np.random.Generator) -> None:
    """Replace every numpy generator of a distribution, and of those that it is made of, by one drawn from `source`."""
    for name, value in sorted(vars(owner).items()):
        if isinstance(value, np.random.Generator):
            setattr(owner, name, np.random.default_rng(source.integers(2**63)))
        elif type(value).__module__ == type(owner).__module__:
            _seed_generators(value, source)
