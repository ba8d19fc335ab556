"""Scripts: recorded agent inputs that are played again whatever the agents do, with the changes that the audit makes.

Axis legend: T steps, N agents, D observation size, A actions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from coordinator.plan.plan import Plan
from coordinator.running.in_process import LocalTeam
from coordinator.world.trajectory import StepRecord
from coordinator.world.world import EpisodeLost
from heliograph.environments.vector import (
    LOST_EPISODE_REPEATS,
    AgentInputs,
    EnvironmentSpec,
    Transition,
    VectorEnvironment,
)
from heliograph.errors import WorldError


@dataclass(frozen=True, kw_only=True)
class InputSequence:
    """The agent inputs of one recorded episode."""

    observation: npt.NDArray[np.float32]
    """float32 [T, N, D]."""
    action_mask: npt.NDArray[np.bool_]
    """bool [T, N, A]."""
    hears: npt.NDArray[np.bool_]
    """bool [T, N, N]: [t, i, j] says that i can hear j."""
    present: npt.NDArray[np.bool_]
    """bool [T, N]: false once an agent's part of the episode is over."""

    @property
    def steps(self) -> int:
        return len(self.present)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the audit plays with."""

    spec: EnvironmentSpec
    scripts: tuple[InputSequence, ...]
    moments: tuple[npt.NDArray[np.float32], ...]
    """Per agent, float32 [moments, D]: the different observations that it had in any recorded episode."""


class ReplayedInputs(VectorEnvironment):
    """One copy that shows a script's agent inputs step by step; actions change nothing."""

    def __init__(self, sequence: InputSequence, spec: EnvironmentSpec) -> None:
        self._spec, self.count = spec, 1
        self._sequence, self._step = sequence, 0

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        self._step = 0
        return self._agent_inputs()

    def step(self, actions: npt.NDArray[np.int64 | np.float32]) -> Transition:
        over = self._step + 1 == self._sequence.steps
        self._step += not over
        agents = self.spec.agents
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=np.zeros((1, agents), dtype=np.float32),
            terminated=np.full((1, agents), over),
            truncated=np.zeros(1, dtype=bool),
            over=np.array([over]),
            outcome=np.zeros(1, dtype=np.float32),
            lost=np.zeros(1, dtype=bool),
        )

    def _agent_inputs(self) -> AgentInputs:
        sequence, now = self._sequence, slice(self._step, self._step + 1)
        return AgentInputs(
            observation=sequence.observation[now],
            action_mask=sequence.action_mask[now],
            hears=sequence.hears[now],
            present=sequence.present[now],
        )


def record(
    plan: Plan, *, scripts: int, others: int, steps: int, progress: Callable[[], None] = lambda: None
) -> Recorded:
    """Play the plan's episodes in one process: the first become scripts of at most `steps` steps, all lend moments.

    Raises WorldError or BundleError as a team and its world do.
    """
    world = plan.world("open")
    team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy)
    episodes: list[list[StepRecord]] = []
    number = 0
    with closing(world.environment):
        while len(episodes) < scripts + others:
            records: list[StepRecord] = []
            try:
                team.run_episode(world, episode=number, observe=records.append)
                episodes.append(records)
                progress()
            except EpisodeLost as lost:
                if number - len(episodes) >= LOST_EPISODE_REPEATS:
                    raise WorldError(f"episodes are lost again and again: {lost}") from None
            number += 1
    return Recorded(
        spec=world.spec,
        scripts=tuple(_sequence(records[:steps]) for records in episodes[:scripts]),
        moments=tuple(
            np.unique([r.observation[slot] for records in episodes for r in records if r.present[slot]], axis=0)
            for slot in range(world.spec.agents)
        ),
    )


def perturbed(
    sequence: InputSequence,
    *,
    agent: int,
    start: int,
    moments: Sequence[npt.NDArray[np.float32]],
    random: np.random.Generator,
) -> InputSequence | None:
    """The script with `agent` seeing other moments of its own from `start` on; its legal actions stay.

    None if it is not there then, or has only ever had one observation.
    """
    choices = moments[agent]
    if len(choices) < 2 or not sequence.present[start, agent]:
        return None
    observation = sequence.observation.copy()
    for step in range(start, sequence.steps):
        if sequence.present[step, agent]:
            others = np.flatnonzero((choices != sequence.observation[step, agent]).any(axis=1))
            observation[step, agent] = choices[random.choice(others)]
    return replace(sequence, observation=observation)


def _sequence(records: list[StepRecord]) -> InputSequence:
    return InputSequence(
        observation=np.array([record.observation for record in records]),
        action_mask=np.array([record.action_mask for record in records]),
        hears=np.array([record.hears for record in records]),
        present=np.array([record.present for record in records]),
    )
