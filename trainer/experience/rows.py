"""Rows of experience: what one copy of the environment showed at one step, and the action that led there.

Axis legend: R rows, N agents, D observation, A entries of an action mask, S global state,
C numbers that an agent carries.

An episode of n steps has n + 1 rows: its first observation, then one row per action with what it led to.  Where all
agents terminate, absorbing rows follow (zero observation, a random action, no reward; MAMBA's released code).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.environments.vector import EnvironmentSpec


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows (first axis R); what `Window` says of the fields holds here too."""

    observation: np.ndarray
    action_mask: np.ndarray
    hears: np.ndarray
    present: np.ndarray
    first: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    state: np.ndarray
    """float32 [R, S]; S is 0 where no algorithm wants it."""
    carried: np.ndarray
    """float32 [R, N, C]; C is 0 where no algorithm wants it."""

    def pick(self, chosen: object) -> Rows:
        """Some of the rows, by anything that indexes an array."""
        return Rows(**{name: array[chosen] for name, array in vars(self).items()})


def empty_rows(spec: EnvironmentSpec, *leading: int, state_size: int, carried_size: int = 0) -> Rows:
    """Rows of zeros, [*leading, ...]."""
    agents, actions = spec.agents, spec.actions
    return Rows(
        observation=np.zeros((*leading, agents, spec.observation_size), np.float32),
        action_mask=np.zeros((*leading, agents, actions), bool),
        hears=np.zeros((*leading, agents, agents), bool),
        present=np.zeros((*leading, agents), bool),
        first=np.zeros(leading, bool),
        action=np.zeros((*leading, agents, *spec.action_shape), np.float32 if spec.continuous else np.int16),
        reward=np.zeros((*leading, agents), np.float32),
        terminated=np.zeros((*leading, agents), bool),
        state=np.zeros((*leading, state_size), np.float32),
        carried=np.zeros((*leading, agents, carried_size), np.float32),
    )


def absorbing_rows(spec: EnvironmentSpec, *, action: np.ndarray, state_size: int, carried_size: int = 0) -> Rows:
    """One absorbing row for each joint `action` [R, N, ...]."""
    count, agents = action.shape[:2]
    return Rows(
        observation=np.zeros((count, agents, spec.observation_size), np.float32),
        action_mask=np.ones((count, agents, spec.actions), bool),
        # On a complete graph nothing but an agent that left early makes a window need its graphs.
        hears=np.broadcast_to(~np.eye(agents, dtype=bool) & spec.complete_graph, (count, agents, agents)),
        present=np.zeros((count, agents), bool),
        first=np.zeros(count, bool),
        action=action,
        reward=np.zeros((count, agents), np.float32),
        terminated=np.ones((count, agents), bool),
        state=np.zeros((count, state_size), np.float32),
        carried=np.zeros((count, agents, carried_size), np.float32),
    )


def random_actions(spec: EnvironmentSpec, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` joint actions [R, N, ...], uniformly drawn without regard to any mask."""
    if not spec.continuous:
        return random.integers(spec.actions, size=(count, spec.agents))
    drawn = random.uniform(-1, 1, size=(count, spec.agents, spec.actions))
    return spec.continuous[0].snapped(drawn)
