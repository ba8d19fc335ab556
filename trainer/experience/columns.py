"""Columns that an algorithm adds to the rows of experience.

Every row has what all algorithms learn from (`rows.Rows`).  What one of them needs besides it declares by name: the
values come from its behaviour while it collects (what agents carried, what a search found), or later from its updates
(reanalysed targets), and are zero until then.  Two names mean something here, `STATE` and `PRIORITY`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.vector import EnvironmentSpec

STATE = "state"
"""The simulator's global state, which the collector fills in."""
PRIORITY = "priority"
"""How likely windows begin at a row when they are drawn by priority; a new row has the highest that there is."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One value per row."""

    shape: tuple[int, ...]
    """Of a row's value; the agent axis, where there is one, is the first."""
    dtype: type[np.generic] = np.float32

    def zeros(self, *leading: int) -> npt.NDArray[Any]:
        """[*leading, *shape]."""
        return np.zeros((*leading, *self.shape), self.dtype)


def state_column(spec: EnvironmentSpec) -> dict[str, Column]:
    """The column of the simulator's global state, where there is one."""
    return {STATE: Column(shape=(spec.state_size,))} if spec.state_size else {}


def priority_column() -> dict[str, Column]:
    """The column of priorities, for an algorithm that draws by them."""
    return {PRIORITY: Column(shape=())}


def zero_columns(columns: Mapping[str, Column], *leading: int) -> dict[str, npt.NDArray[Any]]:
    """All of them for rows [*leading]."""
    return {name: column.zeros(*leading) for name, column in columns.items()}
