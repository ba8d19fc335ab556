"""Whole episodes of an environment by their numbers, several copies at once: what scores are made of.

Episode e of the run seed s has one world, whoever plays it, so any two scores over the same numbers can be compared.

Axis legend: E copies, N agents.  May be imported by every house that may import environments.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.environments.vector import (
    LOST_EPISODE_REPEATS,
    MOST_STEPS,
    AgentInputs,
    Transition,
    VectorEnvironment,
    checked_agent_inputs,
    checked_transition,
    cut_outcome,
)
from heliograph.errors import WorldError
from heliograph.seeds import episode_seed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EpisodeResults:
    """One number per episode, in the order of their numbers."""

    outcome: npt.NDArray[np.float64]
    """float64 [episodes]: the team's result, see the environment's `outcome`."""
    team_return: npt.NDArray[np.float64]
    """float64 [episodes]: rewards summed over steps, averaged over agents."""
    length: npt.NDArray[np.int64]
    """int64 [episodes]: steps."""
    cut: npt.NDArray[np.bool_]
    """bool [episodes]: its environment had not ended it after the most steps, and it counts for what it was then."""


class TeamPolicy(ABC):
    """Plays for all agents in all copies of an environment at once."""

    @abstractmethod
    def begin(self, copy: int, *, episode: int) -> None:
        """An episode of that number has begun in a copy."""

    @abstractmethod
    def step(self, agent_inputs: AgentInputs) -> Transition:
        """Act on the newest agent inputs and step the environment."""


# Seven parameters: who plays what and how much of it; three have a default that only long evaluations change.
def run_episodes(
    environment: VectorEnvironment,
    team_policy: TeamPolicy,
    *,
    episodes: int,
    seed: int,
    most_steps: int = MOST_STEPS,
    progress: Callable[[int], None] = lambda _finished: None,
    check: Callable[[], None] = lambda: None,
) -> EpisodeResults:
    """Play episodes 0 … `episodes` - 1 of the run seed `seed`; `progress` is told how many are finished.

    An episode that has not ended after `most_steps` is cut, see `cut_outcome`.  `check` is called before every step and
    may raise to give up.

    An episode that is lost with its simulator is played again, from the same seed; raises WorldError for one that is
    lost again and again.
    """
    number = np.arange(environment.count)  # the episode that each copy plays; those past the last are dropped
    step, team_return = np.zeros(environment.count, dtype=np.int64), np.zeros(environment.count)
    results = np.full((4, episodes), np.nan)
    losses: Counter[int] = Counter()
    following, finished = environment.count, 0
    agent_inputs = _begin(environment, team_policy, number, number, seed=seed)
    while finished < episodes:
        check()
        transition = checked_transition(team_policy.step(agent_inputs), of=environment)
        agent_inputs, step = transition.agent_inputs, step + 1
        team_return += transition.reward.mean(1)
        cut = ~transition.over & (step >= most_steps)
        over = np.flatnonzero(transition.over | cut)
        for copy in over.tolist():
            played = int(number[copy])
            if played < episodes:
                if transition.lost[copy]:
                    _count_loss(losses, played, environment)
                    continue
                outcome = cut_outcome(environment.spec, team_return[copy]) if cut[copy] else transition.outcome[copy]
                results[:, played] = outcome, team_return[copy], step[copy], cut[copy]
                finished += 1
            number[copy] = following
            following += 1
        if over.size:
            progress(finished)
        if over.size and finished < episodes:
            agent_inputs = _begin(environment, team_policy, over, number[over], seed=seed)
            step[over], team_return[over] = 0, 0.0
    outcome, returns, length, was_cut = results
    return EpisodeResults(
        outcome=outcome, team_return=returns, length=length.astype(np.int64), cut=was_cut.astype(bool)
    )


def _begin(
    environment: VectorEnvironment,
    team_policy: TeamPolicy,
    copies: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    *,
    seed: int,
) -> AgentInputs:
    seeds = np.array([episode_seed(run_seed=seed, episode=episode) for episode in numbers.tolist()])
    agent_inputs = checked_agent_inputs(environment.reset(seeds, copies), of=environment)
    for copy, episode in zip(copies.tolist(), numbers.tolist(), strict=True):
        team_policy.begin(copy, episode=episode)
    return agent_inputs


def _count_loss(losses: Counter[int], episode: int, environment: VectorEnvironment) -> None:
    losses[episode] += 1
    logger.warning("episode lost episode=%d attempt=%d environment=%s", episode, losses[episode], environment.spec.id)
    if losses[episode] > LOST_EPISODE_REPEATS:
        raise WorldError(
            f"episode {episode} was lost {losses[episode]} times with the simulator of {environment.spec.id!r}"
        )
