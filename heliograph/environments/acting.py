"""The actions of a foreign team, discrete or continuous, brought to one size and back to the environment's own.

Axis legend: A entries of an action mask, k numbers of a continuous action.
For `heliograph.environments.spaces`; imports gymnasium.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from heliograph.actions import ContinuousActions
from heliograph.environments.contract import ask
from heliograph.errors import WorldError


class TeamActions(ABC):
    """What each agent of a team can do, by its name."""

    sizes: Mapping[Any, int]
    """Entries of a mask that are the agent's own, before padding."""
    continuous: tuple[ContinuousActions, ...] = ()
    """See EnvironmentSpec."""

    @abstractmethod
    def native(self, name: Any, action: npt.NDArray[Any]) -> Any:
        """The environment's own form of one agent's action."""


class DiscreteTeam(TeamActions):
    """Numbered actions; the environment may count from another number than 0."""

    def __init__(self, acting: Mapping[Any, spaces.Discrete[Any]]) -> None:
        self.sizes = {name: int(space.n) for name, space in acting.items()}
        self._start = {name: int(space.start) for name, space in acting.items()}

    def native(self, name: Any, action: npt.NDArray[Any]) -> int:
        """See TeamActions."""
        return self._start[name] + int(action)


class ContinuousTeam(TeamActions):
    """Vectors within bounds, scaled from (-1, 1) to those; what an agent lacks of the widest one's k is cut off."""

    def __init__(self, acting: Mapping[Any, spaces.Box], *, bits: int) -> None:
        self._acting = acting
        self.sizes = {name: int(np.prod(space.shape)) for name, space in acting.items()}
        widest = max(self.sizes.values())
        self.continuous = tuple(
            ContinuousActions(low=_padded(space.low, widest), high=_padded(space.high, widest), bits=bits)
            for space in acting.values()
        )
        self._scales = dict(zip(acting, self.continuous, strict=True))

    def native(self, name: Any, action: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """See TeamActions."""
        space = self._acting[name]
        real = self._scales[name].scaled(action)[: self.sizes[name]].reshape(space.shape).astype(space.dtype)
        within: npt.NDArray[Any] = np.clip(real, space.low, space.high)  # rounding may lead past a bound
        return within


def team_actions(environment: Any, names: list[Any], *, adapter: str, bits: int) -> TeamActions:
    """Ask a PettingZoo parallel environment what its agents can do; continuous actions get `bits` per dimension.

    Raises WorldError unless all agents' actions are discrete, or all are vectors within finite bounds.
    """
    acting = {name: ask(adapter, f"action_space({name!r})", partial(environment.action_space, name)) for name in names}
    for name, space in acting.items():
        if not isinstance(space, spaces.Discrete | spaces.Box):
            raise WorldError(
                f"{adapter}: action space {space!r} of agent {name!r} is neither Discrete nor a Box",
                remedy=_other_form(space),
            )
        if isinstance(space, spaces.Box):
            _check_box(name, space, adapter=adapter)
    if len({isinstance(space, spaces.Box) for space in acting.values()}) > 1:
        first, other = (next(name for name in names if isinstance(acting[name], kind)) for kind in _KINDS)
        raise WorldError(
            f"{adapter}: actions of agent {first!r} are discrete, those of agent {other!r} are not",
            remedy="Give all agents of a team the same kind: wrap the Box of some in numbered levels, Discrete(n)",
        )
    return ContinuousTeam(acting, bits=bits) if isinstance(acting[names[0]], spaces.Box) else DiscreteTeam(acting)


_KINDS = (spaces.Discrete, spaces.Box)
_MOST_COMBINATIONS = 10_000


def _other_form(space: Any) -> str:
    """How an environment can say the same with a space that a team can have."""
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        sizes = tuple(np.reshape(space.nvec, -1).tolist() if isinstance(space, spaces.MultiDiscrete) else [2] * space.n)
        count = math.prod(sizes)
        if count <= _MOST_COMBINATIONS:
            return (
                f"Number the combinations: a wrapper with Discrete({count}) that steps with "
                f"np.unravel_index(action, {sizes})"
            )
        return f"Its {count} combinations are too many to number; act on one of them at a time, or give a Box"
    if isinstance(space, spaces.Tuple | spaces.Dict):
        return "Join its parts in a wrapper: one Box where all are real numbers, or one Discrete of all combinations"
    return "Return a gymnasium Discrete, or a Box of real numbers with finite bounds, the same one every time"


def _check_box(name: Any, space: spaces.Box, *, adapter: str) -> None:
    if not np.issubdtype(space.dtype, np.floating) or not np.prod(space.shape):
        raise WorldError(
            f"{adapter}: action space {space} of agent {name!r} is not of real numbers",
            remedy="Give a Box of float32 with at least one number, or a Discrete for numbered actions",
        )
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise WorldError(
            f"{adapter}: action space {space} of agent {name!r} has no bounds",
            remedy="Wrap the environment so that each dimension has a finite low and high",
        )


def _padded(bounds: npt.NDArray[Any], size: int) -> tuple[float, ...]:
    values = [float(value) for value in bounds.reshape(-1)]
    return (*values, *[0.0] * (size - len(values)))
