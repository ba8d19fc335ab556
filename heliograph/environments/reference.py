"""Scores to compare a learned team with: reference policies on the episodes that an evaluation plays.

Every environment has `random`; further ones are named in `heliograph.environments.catalogue`, as classes made from
(environment, seed=) with the methods of `TeamPolicy`.  They may know more than an agent does.

Axis legend: E copies, N agents.  May be imported by `coordinator`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from heliograph.environments import registry
from heliograph.environments.catalogue import CATALOGUE
from heliograph.environments.episodes import EpisodeResults, TeamPolicy, run_episodes
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.vector import MOST_STEPS, AgentInputs, Transition, VectorEnvironment
from heliograph.errors import SettingsError

RANDOM = "random"
MOST_COPIES = 8
EPISODES_PER_COPY = 8
"""Fewer would not be worth a copy: what copies play after the last episode is for nothing."""


class RandomPolicy(TeamPolicy):
    """Every agent takes one of its legal actions, all with the same probability; of continuous ones, any vector."""

    def __init__(self, environment: VectorEnvironment, *, seed: int) -> None:
        self._environment = environment
        self._seed = seed
        self._random = [np.random.default_rng() for _ in range(environment.count)]

    def begin(self, copy: int, *, episode: int) -> None:
        self._random[copy] = np.random.default_rng([self._seed, episode])

    def step(self, agent_inputs: AgentInputs) -> Transition:
        mask = agent_inputs.action_mask
        drawn = np.stack([random.random(mask.shape[1:]) for random in self._random])
        return self._environment.step(self._environment.spec.rows.drawn(drawn, mask))


class IdlePolicy(TeamPolicy):
    """Every agent holds its continuous action in the middle between the bounds."""

    def __init__(self, environment: VectorEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random."""
        self._environment = environment

    def begin(self, copy: int, *, episode: int) -> None:
        return

    def step(self, agent_inputs: AgentInputs) -> Transition:
        return self._environment.step(np.zeros(agent_inputs.action_mask.shape, dtype=np.float32))


def reference_names(environment_id: str) -> tuple[str, ...]:
    """Names of the policies that `run_reference` knows for an environment."""
    entry = CATALOGUE.get(environment_id)
    return (RANDOM, *(entry.references if entry is not None else ()))


# Eight parameters: the world, the policy, and how an evaluation is asked for; the last three have a default.
def run_reference(
    environment_id: str,
    policy: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    episodes: int,
    seed: int,
    most_steps: int = MOST_STEPS,
    progress: Callable[[int], None] = lambda _finished: None,
    permission: Permission = CATALOGUE_ONLY,
) -> EpisodeResults:
    """Play episodes 0 … `episodes` - 1 of the run seed `seed`, those that an evaluation with this seed plays.

    `progress` is told how many are finished; `most_steps` is that of `run_episodes`.  The result does not depend on
    how many copies play at once.  Raises SettingsError for a policy that the environment does not have or less than one
    episode, and what `heliograph.environments.registry.make` raises; WorldError for an episode that is lost again and
    again.
    """
    if episodes < 1:
        raise SettingsError(f"cannot run {episodes} episodes", remedy="Run at least one")
    made = _policy_class(environment_id, policy)
    count = min(MOST_COPIES, 1 + episodes // EPISODES_PER_COPY)
    environment = registry.make(environment_id, count=count, parameters=parameters, permission=permission)
    try:
        team_policy = made(environment, seed=seed)
        return run_episodes(
            environment, team_policy, episodes=episodes, seed=seed, most_steps=most_steps, progress=progress
        )
    finally:
        environment.close()


def _policy_class(environment_id: str, policy: str) -> Callable[..., TeamPolicy]:
    if policy not in reference_names(environment_id):
        raise SettingsError(
            f"environment {environment_id!r} has no reference policy {policy!r}",
            remedy=f"Known are {', '.join(reference_names(environment_id))}",
        )
    if policy == RANDOM:
        return RandomPolicy
    module, _, name = CATALOGUE[environment_id].references[policy].partition(":")
    policy_class: Callable[..., TeamPolicy] = getattr(importlib.import_module(module), name)
    return policy_class
