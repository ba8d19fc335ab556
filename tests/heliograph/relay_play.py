"""Ways to play and to look into the built-in tasks, for their tests."""

from __future__ import annotations

import numpy as np

from heliograph.environments.vector import Percepts, Transition, VectorEnvironment


def random_actions(percepts: Percepts, random: np.random.Generator) -> np.ndarray:
    return (random.random(percepts.action_mask.shape) * percepts.action_mask).argmax(-1)


def episode(environment: VectorEnvironment, seeds: np.ndarray, *, action_seed: int) -> list[Percepts | Transition]:
    """Play one episode in all copies with random legal actions."""
    random = np.random.default_rng(action_seed)
    percepts = environment.reset(seeds)
    history: list[Percepts | Transition] = [percepts]
    for _ in range(environment.spec.episode_limit):
        transition = environment.step(random_actions(percepts, random))
        percepts = transition.percepts
        history.append(transition)
    return history


def flat(history: list[Percepts | Transition], *, copy: int) -> list[bytes]:
    """Everything that one copy showed, as bytes."""
    arrays: list[np.ndarray] = []
    for entry in history:
        percepts = entry.percepts if isinstance(entry, Transition) else entry
        arrays += [percepts.observation, percepts.action_mask, percepts.hears, percepts.present]
        if isinstance(entry, Transition):
            arrays += [entry.reward, entry.terminated, entry.truncated, entry.over, entry.outcome]
    return [array[copy].tobytes() for array in arrays]


def places(environment: VectorEnvironment) -> tuple[np.ndarray, np.ndarray]:
    """Cells and targets of relay as (row, column) [E, N, 2], read from the global state."""
    size, agents = environment.spec.parameters["size"], environment.spec.agents
    cells = environment.state().reshape(environment.count, 2, agents, size * size).argmax(-1)
    both = np.stack(np.divmod(cells, size), axis=-1)
    return both[:, 0], both[:, 1]


def towards(position: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The move of each agent that brings it nearer to its goal, rows first; stay where it is there."""
    row, column = np.moveaxis(goal - position, -1, 0)
    by_row = np.where(row < 0, 1, 2)
    by_column = np.where(column < 0, 3, np.where(column > 0, 4, 0))
    return np.where(row != 0, by_row, by_column)
