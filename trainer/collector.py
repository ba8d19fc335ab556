"""Collecting experience: many copies of the environment, stepped with the current policy into replay.

Axis legend: E copies, N agents.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.environments.vector import Percepts, VectorEnvironment
from heliograph.seeds import episode_seed
from trainer.algorithm import Algorithm
from trainer.draws import RandomDraws
from trainer.hearing import audible, hears_tensor
from trainer.replay import Replay, Rows

_ARRAYS = ("seeds", "first", "returns", "spoke")  # of a Collector, in its saved state


class Collector:
    """Steps the environment and writes rows; episodes run on from one call to the next.

    Episode k of a run (counted over all copies, in the order of their starts) is seeded by (run seed, k).
    """

    def __init__(
        self, environment: VectorEnvironment, algorithm: Algorithm, replay: Replay, *, seed: int, device: torch.device
    ) -> None:
        self.environment, self.algorithm, self.replay = environment, algorithm, replay
        self.seed, self.device = seed, device
        self.env_steps = 0
        """Steps of the environment, over all copies."""
        self.episodes_started = 0
        self._random = np.random.default_rng([seed, 0xAB])  # for absorbing rows
        self._team = algorithm.initial_state(environment.count)
        self._first = np.ones(environment.count, dtype=bool)
        self._spoke = np.ones((environment.count, environment.spec.agents), dtype=bool)  # at the step before
        self._returns = np.zeros(environment.count)  # of the running episodes, means over agents
        # What was done in the running episodes, to bring a resumed run's environments to the same point.
        self._seeds = np.zeros(environment.count, dtype=np.int64)
        self._actions: list[list[np.ndarray]] = [[] for _ in range(environment.count)]
        self._percepts = self._begin(np.arange(environment.count))

    def collect(self, steps_per_copy: int) -> dict[str, list[float]]:
        """Step every copy so often; the outcome and team return of every episode that ended meanwhile."""
        finished: dict[str, list[float]] = {"outcome": [], "return": [], "length": []}
        for _ in range(steps_per_copy):
            actions = self._act()
            transition = self.environment.step(actions)
            self._spoke = self._percepts.present.copy()
            percepts = audible(transition.percepts, spoke=self._spoke)
            self.env_steps += self.environment.count
            everyone = np.arange(self.environment.count)
            ended = transition.terminated
            if self.replay.settings.time_limit_is_terminal:
                ended = ended | transition.truncated[:, None]
            self._write(everyone, percepts, action=actions, reward=transition.reward, ended=ended)
            for copy in everyone:
                self._actions[copy].append(actions[copy])
            self._returns += transition.reward.mean(1)
            self._percepts, self._first = percepts, np.zeros(self.environment.count, dtype=bool)
            over = np.flatnonzero(transition.over)
            if over.size:
                finished["outcome"] += transition.outcome[over].tolist()
                finished["return"] += self._returns[over].tolist()
                finished["length"] += [float(len(self._actions[copy])) for copy in over]
                gone = over[transition.terminated[over].all(1)]
                if gone.size:
                    self.replay.add_absorbing(gone, self._random)
                self._percepts = self._begin(over)
        return finished

    def _act(self) -> np.ndarray:
        percepts = self._percepts
        action, self._team = self.algorithm.act(
            self._team,
            observation=self._tensor(percepts.observation),
            action_mask=self._tensor(percepts.action_mask),
            hears=hears_tensor(percepts, self.environment.spec, device=self.device),
            first=self._tensor(self._first),
            draws=RandomDraws(),
        )
        return action.cpu().numpy()

    def _begin(self, copies: np.ndarray) -> Percepts:
        numbers = self.episodes_started + np.arange(copies.size)
        self.episodes_started += copies.size
        self._seeds[copies] = [episode_seed(run_seed=self.seed, episode=int(number)) for number in numbers]
        percepts = self.environment.reset(self._seeds[copies], copies)
        self._spoke[copies] = percepts.present[copies]
        percepts = audible(percepts, spoke=self._spoke)
        self._returns[copies] = 0
        self._first[copies] = True
        for copy in copies:
            self._actions[copy] = []
        shape = (copies.size, self.environment.spec.agents)
        zeros = np.zeros(shape)
        self._write(copies, percepts, action=zeros, reward=zeros, ended=zeros.astype(bool), first=True)
        return percepts

    def _write(
        self,
        copies: np.ndarray,
        percepts: Percepts,
        *,
        action: np.ndarray,
        reward: np.ndarray,
        ended: np.ndarray,
        first: bool = False,
    ) -> None:
        self.replay.add(
            copies,
            Rows(
                observation=percepts.observation[copies],
                action_mask=percepts.action_mask[copies],
                hears=percepts.hears[copies],
                present=percepts.present[copies],
                first=np.full(copies.size, first),
                action=action,
                reward=reward,
                terminated=ended,
            ),
        )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def state(self) -> dict[str, Any]:
        """Counters, RNG and the running episodes, as JSON values and arrays by name."""
        length = max(len(actions) for actions in self._actions)
        agents = self.environment.spec.agents
        actions = np.full((self.environment.count, length, agents), -1, dtype=np.int64)
        for copy, done in enumerate(self._actions):
            if done:
                actions[copy, : len(done)] = done
        team = {field.name: getattr(self._team, field.name).cpu().numpy() for field in fields(self._team)}
        return {
            "env_steps": self.env_steps,
            "episodes_started": self.episodes_started,
            "random": self._random.bit_generator.state,
            "arrays": {name: getattr(self, f"_{name}") for name in _ARRAYS}
            | {"actions": actions}
            | {f"team.{name}": value for name, value in team.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state: the running episodes are played again, action by action, from their seeds."""
        arrays = state["arrays"]
        self.env_steps, self.episodes_started = state["env_steps"], state["episodes_started"]
        self._random.bit_generator.state = state["random"]
        self._seeds, self._first, self._returns, self._spoke = (arrays[name].copy() for name in _ARRAYS)
        self._actions = [[step for step in actions if step[0] >= 0] for actions in arrays["actions"]]
        self._team = type(self._team)(
            **{field.name: self._tensor(arrays[f"team.{field.name}"]) for field in fields(self._team)}
        )
        self._percepts = audible(_rewind(self.environment, self._seeds, self._actions), spoke=self._spoke)


def _rewind(environment: VectorEnvironment, seeds: np.ndarray, actions: list[list[np.ndarray]]) -> Percepts:
    """Bring every copy to the point that its seed and actions lead to.

    All copies step together, so the shorter an episode, the later its copy is reset to it; until then it plays
    legal actions of an episode that does not matter.
    """
    longest = max(len(done) for done in actions)
    percepts = environment.reset(seeds)
    for step in range(longest):
        starting = np.array([copy for copy, done in enumerate(actions) if len(done) == longest - step and step])
        if starting.size:
            percepts = environment.reset(seeds[starting], starting)
        joint = percepts.action_mask.argmax(-1)
        for copy, done in enumerate(actions):
            if len(done) >= longest - step:
                joint[copy] = done[len(done) - (longest - step)]
        transition = environment.step(joint)
        percepts = transition.percepts
        idle = np.array([copy for copy in np.flatnonzero(transition.over) if len(actions[copy]) < longest - step])
        if idle.size:
            percepts = environment.reset(seeds[idle], idle)
    fresh = np.array([copy for copy, done in enumerate(actions) if not done and longest])
    return environment.reset(seeds[fresh], fresh) if fresh.size else percepts
