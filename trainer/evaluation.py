"""Central evaluation: the trainer's own networks, all agents in one batch, on the runtime's episodes and noise.

Episode e of an evaluation with seed s has the world, and every agent the random numbers, of episode e of
`heliograph run --seed s`; so the two can be compared episode by episode.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from heliograph.environments.vector import (
    LOST_EPISODE_REPEATS,
    EnvironmentSpec,
    Percepts,
    VectorEnvironment,
    checked_percepts,
    checked_transition,
)
from heliograph.errors import WorldError
from heliograph.noise import uniform
from heliograph.seeds import episode_seed
from trainer.algorithm import Algorithm
from trainer.draws import Draws, GreedyDraws, NoiseDraws
from trainer.hearing import audible, hears_tensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One number per episode, in the order of their numbers."""

    outcome: np.ndarray
    """float64 [episodes]: the team's result, see the environment's `outcome`."""
    team_return: np.ndarray
    """float64 [episodes]: rewards summed over steps, averaged over agents."""
    length: np.ndarray
    """int64 [episodes]: steps."""


def evaluate(
    algorithm: Algorithm,
    environment: VectorEnvironment,
    *,
    episodes: int,
    seed: int,
    greedy: bool,
    device: torch.device,
    links_cut: bool = False,
    progress: Callable[[int], None] = lambda _finished: None,
) -> Evaluation:
    """Play `episodes` whole episodes; with `links_cut` nobody hears anybody.

    `progress` is told how many are finished.  An episode that is lost with its simulator is played again, from the
    same seed; raises WorldError for one that is lost again and again.
    """
    spec, count = environment.spec, environment.count
    number = np.arange(count)  # the episode that each copy plays; those past the last are played, and dropped
    seeds = [episode_seed(run_seed=seed, episode=int(episode)) for episode in number]
    percepts = checked_percepts(environment.reset(np.array(seeds)), of=environment)
    spoke = percepts.present.copy()
    state, step = algorithm.initial_state(count), np.zeros(count, dtype=np.int64)
    team_return = np.zeros(count)
    results = np.full((3, episodes), np.nan)
    losses: Counter[int] = Counter()
    following, finished = count, 0
    while finished < episodes:
        action, state = algorithm.act(
            state,
            observation=torch.from_numpy(percepts.observation).to(device),
            action_mask=torch.from_numpy(np.ascontiguousarray(percepts.action_mask)).to(device),
            hears=_hears(percepts, spec, spoke=spoke, cut=links_cut, device=device),
            first=torch.from_numpy(step == 0).to(device),
            draws=GreedyDraws() if greedy else _noise(algorithm, seed, number, step, spec.agents, device),
        )
        spoke = percepts.present.copy()
        transition = checked_transition(environment.step(action.cpu().numpy()), of=environment)
        percepts, step = transition.percepts, step + 1
        team_return += transition.reward.mean(1)
        over = np.flatnonzero(transition.over)
        for copy in over:
            if transition.lost[copy] and number[copy] < episodes:
                _count_loss(losses, int(number[copy]), spec)
                continue
            if number[copy] < episodes:
                results[:, number[copy]] = transition.outcome[copy], team_return[copy], step[copy]
                finished += 1
            number[copy] = following
            following += 1
        if over.size:
            progress(finished)
        if over.size and finished < episodes:
            seeds = [episode_seed(run_seed=seed, episode=int(episode)) for episode in number[over]]
            percepts = checked_percepts(environment.reset(np.array(seeds), over), of=environment)
            step[over], team_return[over], spoke[over] = 0, 0, percepts.present[over]
    return Evaluation(outcome=results[0], team_return=results[1], length=results[2].astype(np.int64))


def _count_loss(losses: Counter[int], episode: int, spec: EnvironmentSpec) -> None:
    losses[episode] += 1
    logger.warning("episode lost episode=%d attempt=%d environment=%s", episode, losses[episode], spec.id)
    if losses[episode] > LOST_EPISODE_REPEATS:
        raise WorldError(f"episode {episode} was lost {losses[episode]} times with the simulator of {spec.id!r}")


def _hears(
    percepts: Percepts, spec: EnvironmentSpec, *, spoke: np.ndarray, cut: bool, device: torch.device
) -> torch.Tensor | None:
    if cut:
        return torch.zeros(percepts.hears.shape, dtype=torch.bool, device=device)
    return hears_tensor(audible(percepts, spoke=spoke).hears, spec, device=device)


def _noise(
    algorithm: Algorithm, seed: int, number: np.ndarray, step: np.ndarray, agents: int, device: torch.device
) -> Draws:
    size = algorithm.message_size() + 1
    numbers = [
        [uniform(run_seed=seed, slot=slot, episode=int(episode), step=int(at), size=size) for slot in range(agents)]
        for episode, at in zip(number, step, strict=True)
    ]
    return NoiseDraws(torch.from_numpy(np.array(numbers)).to(device))
