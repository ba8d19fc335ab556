"""Scores to compare a learned team with: reference policies on the episodes that an evaluation plays.

Every environment has `random`; further ones are named in `heliograph.environments.catalogue`, as classes made from
(environment, seed=) with the methods of `Reference`.  They may know more than an agent does.

Axis legend: E copies, N agents.  May be imported by `coordinator`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from heliograph.environments import registry
from heliograph.environments.catalogue import CATALOGUE
from heliograph.environments.vector import LOST_EPISODE_REPEATS, Percepts, Transition, VectorEnvironment
from heliograph.errors import SettingsError, WorldError
from heliograph.seeds import episode_seed

RANDOM = "random"
MOST_COPIES = 8
EPISODES_PER_COPY = 8
"""Fewer would not be worth a copy: what copies play after the last episode is for nothing."""


@dataclass(frozen=True, kw_only=True)
class ReferenceResult:
    """One number per episode, in the order of their numbers."""

    outcome: np.ndarray
    """float64 [episodes]: the team's result, see the environment's `outcome`."""
    team_return: np.ndarray
    """float64 [episodes]: rewards summed over steps, averaged over agents."""
    length: np.ndarray
    """int64 [episodes]: steps."""


class Reference(ABC):
    """A policy for whole teams, in all copies of an environment at once."""

    @abstractmethod
    def begin(self, copy: int, *, episode: int) -> None:
        """An episode of that number has begun in a copy."""

    @abstractmethod
    def step(self, percepts: Percepts) -> Transition:
        """Act on the newest percepts and step the environment."""


class RandomPolicy(Reference):
    """Every agent takes one of its legal actions, all with the same probability."""

    def __init__(self, environment: VectorEnvironment, *, seed: int) -> None:
        self._environment = environment
        self._seed = seed
        self._random = [np.random.default_rng() for _ in range(environment.count)]

    def begin(self, copy: int, *, episode: int) -> None:
        self._random[copy] = np.random.default_rng([self._seed, episode])

    def step(self, percepts: Percepts) -> Transition:
        mask = percepts.action_mask
        scores = np.stack([random.random(mask.shape[1:]) for random in self._random])
        return self._environment.step((scores * mask).argmax(-1))


def reference_names(environment_id: str) -> tuple[str, ...]:
    """Names of the policies that `play_reference` knows for an environment."""
    entry = CATALOGUE.get(environment_id)
    return (RANDOM, *(entry.references if entry is not None else ()))


def play_reference(
    environment_id: str,
    policy: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    episodes: int,
    seed: int,
    progress: Callable[[int], None] = lambda _finished: None,
) -> ReferenceResult:
    """Play episodes 0 … `episodes` - 1 of the run seed `seed`, those that an evaluation with this seed plays.

    `progress` is told how many are finished.  The result does not depend on how many copies play at once.  Raises
    SettingsError for a policy that the environment does not have or less than one episode, and what
    `heliograph.environments.registry.make` raises; WorldError for an episode that is lost again and again.
    """
    if episodes < 1:
        raise SettingsError(f"cannot play {episodes} episodes", remedy="Play at least one")
    made = _policy_class(environment_id, policy)
    count = min(MOST_COPIES, 1 + episodes // EPISODES_PER_COPY)
    environment = registry.make(environment_id, count=count, parameters=parameters)
    try:
        return _play(environment, made(environment, seed=seed), episodes=episodes, seed=seed, progress=progress)
    finally:
        environment.close()


def _policy_class(environment_id: str, policy: str) -> Callable[..., Reference]:
    if policy not in reference_names(environment_id):
        raise SettingsError(
            f"environment {environment_id!r} has no reference policy {policy!r}",
            remedy=f"Known are {', '.join(reference_names(environment_id))}",
        )
    if policy == RANDOM:
        return RandomPolicy
    module, _, name = CATALOGUE[environment_id].references[policy].partition(":")
    return getattr(importlib.import_module(module), name)


def _play(
    environment: VectorEnvironment, policy: Reference, *, episodes: int, seed: int, progress: Callable[[int], None]
) -> ReferenceResult:
    number = np.arange(environment.count)  # the episode that each copy plays; those past the last are dropped
    step, team_return = np.zeros(environment.count, dtype=np.int64), np.zeros(environment.count)
    results = np.full((3, episodes), np.nan)
    losses: Counter[int] = Counter()
    following, finished = environment.count, 0
    percepts = environment.reset(_seeds(seed, number))
    for copy in number.tolist():
        policy.begin(copy, episode=copy)
    while finished < episodes:
        transition = policy.step(percepts)
        percepts, step = transition.percepts, step + 1
        team_return += transition.reward.mean(1)
        over = np.flatnonzero(transition.over)
        for copy in over.tolist():
            played = int(number[copy])
            if transition.lost[copy] and played < episodes:
                losses[played] += 1
                if losses[played] > LOST_EPISODE_REPEATS:
                    raise WorldError(f"episode {played} was lost {losses[played]} times with its simulator")
                continue
            if played < episodes:
                results[:, played] = transition.outcome[copy], team_return[copy], step[copy]
                finished += 1
            number[copy] = following
            following += 1
        if over.size and finished < episodes:
            percepts = environment.reset(_seeds(seed, number[over]), over)
            step[over], team_return[over] = 0, 0.0
            for copy in over.tolist():
                policy.begin(copy, episode=int(number[copy]))
        if over.size:
            progress(finished)
    return ReferenceResult(outcome=results[0], team_return=results[1], length=results[2].astype(np.int64))


def _seeds(seed: int, episodes: np.ndarray) -> np.ndarray:
    return np.array([episode_seed(run_seed=seed, episode=episode) for episode in episodes.tolist()])
