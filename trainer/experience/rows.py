"""Rows of experience: what one copy of the environment showed at one step, and the action that led there.

Axis legend: R rows, N agents, D observation, A entries of an action mask.

An episode of n steps has n + 1 rows: its first observation, then one row per action with what it led to.  Where all
agents terminate, absorbing rows follow (zero observation, a random action, no reward; MAMBA's released code).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.vector import EnvironmentSpec
from trainer.experience.columns import Column, zero_columns

NO_COLUMNS: Mapping[str, Column] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows (first axis R); what `Window` says of the fields holds here too."""

    observation: npt.NDArray[Any]
    action_mask: npt.NDArray[Any]
    hears: npt.NDArray[Any]
    present: npt.NDArray[Any]
    first: npt.NDArray[Any]
    action: npt.NDArray[Any]
    reward: npt.NDArray[Any]
    terminated: npt.NDArray[Any]
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """[R, ...] by name: what the algorithm that learns from them has declared."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All fields and columns by name."""
        return {name: getattr(self, name) for name in FIELDS} | dict(self.columns)

    def pick(self, chosen: Any) -> Rows:
        """Some of the rows, by anything that indexes an array."""
        return rows_of({name: array[chosen] for name, array in self.arrays().items()})


FIELDS = tuple(each.name for each in fields(Rows) if each.name != "columns")
"""What every row has; no column may have such a name."""


def rows_of(arrays: Mapping[str, npt.NDArray[Any]]) -> Rows:
    """Rows from all fields and columns by name."""
    own = {name: arrays[name] for name in FIELDS}
    return Rows(**own, columns={name: array for name, array in arrays.items() if name not in FIELDS})


def empty_rows(spec: EnvironmentSpec, *leading: int, columns: Mapping[str, Column] = NO_COLUMNS) -> Rows:
    """Rows of zeros, [*leading, ...]."""
    agents, actions = spec.agents, spec.actions
    return Rows(
        observation=np.zeros((*leading, agents, spec.observation_size), np.float32),
        action_mask=np.zeros((*leading, agents, actions), bool),
        hears=np.zeros((*leading, agents, agents), bool),
        present=np.zeros((*leading, agents), bool),
        first=np.zeros(leading, bool),
        action=np.zeros((*leading, agents, *spec.action_shape), np.float32 if spec.rows.size else np.int16),
        reward=np.zeros((*leading, agents), np.float32),
        terminated=np.zeros((*leading, agents), bool),
        columns=zero_columns(columns, *leading),
    )


def absorbing_rows(
    spec: EnvironmentSpec, *, action: npt.NDArray[Any], columns: Mapping[str, Column] = NO_COLUMNS
) -> Rows:
    """One absorbing row for each joint `action` [R, N, ...]."""
    count, agents = action.shape[:2]
    return Rows(
        observation=np.zeros((count, agents, spec.observation_size), np.float32),
        action_mask=np.broadcast_to(spec.rows.whole_masks, (count, agents, spec.actions)),
        # On a complete graph nothing but an agent that left early makes a window need its graphs.
        hears=np.broadcast_to(~np.eye(agents, dtype=bool) & spec.complete_graph, (count, agents, agents)),
        present=np.zeros((count, agents), bool),
        first=np.zeros(count, bool),
        action=action,
        reward=np.zeros((count, agents), np.float32),
        terminated=np.ones((count, agents), bool),
        columns=zero_columns(columns, count),
    )


def random_actions(spec: EnvironmentSpec, count: int, random: np.random.Generator) -> npt.NDArray[Any]:
    """`count` joint actions [R, N, ...], uniformly drawn without regard to any mask."""
    if spec.mixed:
        uniform = random.random((count, spec.agents, spec.actions))
        return spec.rows.snapped(spec.rows.drawn(uniform, spec.rows.whole_masks))
    if not spec.continuous:
        return random.integers(spec.actions, size=(count, spec.agents))
    drawn = random.uniform(-1, 1, size=(count, spec.agents, spec.actions))
    return spec.continuous[0].snapped(drawn)
