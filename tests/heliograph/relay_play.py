"""Ways to play and to look into the built-in tasks, for their tests."""

from __future__ import annotations

import numpy as np

from heliograph.environments.vector import AgentInputs, Transition, VectorEnvironment


def random_actions(agent_inputs: AgentInputs, random: np.random.Generator) -> np.ndarray:
    return (random.random(agent_inputs.action_mask.shape) * agent_inputs.action_mask).argmax(-1)


def episode(environment: VectorEnvironment, seeds: np.ndarray, *, action_seed: int) -> list[AgentInputs | Transition]:
    """Play one episode in all copies with random legal actions."""
    random = np.random.default_rng(action_seed)
    agent_inputs = environment.reset(seeds)
    history: list[AgentInputs | Transition] = [agent_inputs]
    for _ in range(environment.spec.episode_limit):
        transition = environment.step(random_actions(agent_inputs, random))
        agent_inputs = transition.agent_inputs
        history.append(transition)
    return history


def flat(history: list[AgentInputs | Transition], *, copy: int) -> list[bytes]:
    """Everything that one copy showed, as bytes."""
    arrays: list[np.ndarray] = []
    for entry in history:
        agent_inputs = entry.agent_inputs if isinstance(entry, Transition) else entry
        arrays += [agent_inputs.observation, agent_inputs.action_mask, agent_inputs.hears, agent_inputs.present]
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
