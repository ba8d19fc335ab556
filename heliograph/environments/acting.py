"""The actions of a foreign team, discrete, continuous or both, brought to one size and back to the environment's own.

Axis legend: A entries of an action mask, k numbers of a continuous action.
For `heliograph.environments.spaces`; imports gymnasium.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from heliograph.action_rows import ActionRows
from heliograph.actions import ActionSpace, ContinuousActions, DiscreteActions
from heliograph.environments.contract import ask
from heliograph.environments.factors import MOST_JOINT_ACTIONS, Factors
from heliograph.errors import WorldError


class TeamActions(ABC):
    """What each agent of a team can do, by its name."""

    sizes: Mapping[Any, int]
    """Entries of a mask that are the agent's own, before padding."""
    factors: Mapping[Any, Factors] = {}
    """Of the agents whose action is made of several choices."""
    spaces: Mapping[Any, ActionSpace]
    """By name, in the order of slots, padded."""

    @cached_property
    def rows(self) -> ActionRows:
        """How their actions stand in one array."""
        return ActionRows(tuple(self.spaces.values()))

    @cached_property
    def slots(self) -> Mapping[Any, int]:
        return {name: slot for slot, name in enumerate(self.spaces)}

    def place(self, name: Any) -> slice:
        """Where an agent's own entries stand in the mask of its row."""
        start = self.rows.own(self.slots[name]).start
        return slice(start, start + self.sizes[name])

    def whole_mask(self, name: Any) -> npt.NDArray[np.bool_]:
        """bool [A]: all actions, or dimensions of one, that the agent's own space has."""
        own = np.arange(self.spaces[name].mask_size) < self.sizes[name]
        return self.rows.mask_row(self.slots[name], own)

    @abstractmethod
    def native(self, name: Any, action: npt.NDArray[Any]) -> Any:
        """The environment's own form of one agent's action, given as its row."""


class DiscreteTeam(TeamActions):
    """Numbered actions, or combinations of them; the environment may count from another number than 0."""

    def __init__(self, acting: Mapping[Any, spaces.Space[Any]]) -> None:
        self._acting = acting
        sizes = {name: _factor_sizes(space) for name, space in acting.items()}
        self.factors = {name: Factors(sizes=sizes[name]) for name in acting if not _is_discrete(acting[name])}
        self.sizes = {name: Factors(sizes=each).count for name, each in sizes.items()}
        self.spaces = dict.fromkeys(acting, DiscreteActions(count=max(self.sizes.values())))

    def native(self, name: Any, action: npt.NDArray[Any]) -> Any:
        """See TeamActions.  An int for Discrete; for MultiDiscrete and Tuple what the space itself would draw."""
        space = self._acting[name]
        if isinstance(space, spaces.Discrete):
            return int(space.start) + int(action)
        return _native(space, iter(self.factors[name].choices(int(action))))


class ContinuousTeam(TeamActions):
    """Vectors within bounds, scaled from (-1, 1) to those; what an agent lacks of the widest one's k is cut off."""

    def __init__(self, acting: Mapping[Any, spaces.Box], *, bits: int) -> None:
        self._acting = acting
        self.sizes = {name: int(np.prod(space.shape)) for name, space in acting.items()}
        widest = max(self.sizes.values())
        self._scales = {
            name: ContinuousActions(low=_padded(space.low, widest), high=_padded(space.high, widest), bits=bits)
            for name, space in acting.items()
        }
        self.spaces = self._scales

    def native(self, name: Any, action: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """See TeamActions."""
        space = self._acting[name]
        real = self._scales[name].scaled(action)[: self.sizes[name]].reshape(space.shape).astype(space.dtype)
        within: npt.NDArray[Any] = np.clip(real, space.low, space.high)  # rounding may lead past a bound
        return within


class MixedTeam(TeamActions):
    """Numbered actions of some agents and vectors of the others, in rows that have room for both."""

    def __init__(self, acting: Mapping[Any, spaces.Space[Any]], *, bits: int) -> None:
        boxes = {name: space for name, space in acting.items() if isinstance(space, spaces.Box)}
        numbered = DiscreteTeam({name: space for name, space in acting.items() if name not in boxes})
        vectors = ContinuousTeam(boxes, bits=bits)
        self._of: dict[Any, TeamActions] = {name: vectors if name in boxes else numbered for name in acting}
        self.factors = numbered.factors
        self.sizes = {name: own.sizes[name] for name, own in self._of.items()}
        self.spaces = {name: own.spaces[name] for name, own in self._of.items()}

    def native(self, name: Any, action: npt.NDArray[np.float32]) -> Any:
        """See TeamActions."""
        return self._of[name].native(name, np.asarray(self.rows.action(self.slots[name], action)))


def team_actions(environment: Any, names: list[Any], *, adapter: str, bits: int) -> TeamActions:
    """Ask a PettingZoo parallel environment what its agents can do; continuous actions get `bits` per dimension.

    Raises WorldError for actions that are neither numbered nor vectors within finite bounds.
    """
    acting = {name: ask(adapter, f"action_space({name!r})", partial(environment.action_space, name)) for name in names}
    for name, space in acting.items():
        if isinstance(space, spaces.Box):
            _check_box(name, space, adapter=adapter)
        else:
            _check_discrete(name, space, adapter=adapter)
    kinds = {isinstance(space, spaces.Box) for space in acting.values()}
    if len(kinds) > 1:
        return MixedTeam(acting, bits=bits)
    return ContinuousTeam(acting, bits=bits) if kinds == {True} else DiscreteTeam(acting)


def _is_discrete(space: Any) -> bool:
    return isinstance(space, spaces.Discrete)


def _factor_sizes(space: Any) -> tuple[int, ...]:
    """Choices of each factor, in the order in which a flat sample has them."""
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(np.reshape(space.nvec, -1).tolist())
    return tuple(size for part in space.spaces for size in _factor_sizes(part))


def _native(space: Any, choices: Iterator[int]) -> Any:
    """A sample of a space, of the space's own type, from as many choices, counted from 0, as it has factors."""
    if isinstance(space, spaces.Discrete):
        return np.asarray(space.start + next(choices), dtype=space.dtype)[()]
    if isinstance(space, spaces.MultiDiscrete):
        own = np.array([next(choices) for _ in range(space.nvec.size)], dtype=np.int64).reshape(space.nvec.shape)
        return (own + space.start).astype(space.dtype)
    return tuple(_native(part, choices) for part in space.spaces)


def _check_discrete(name: Any, space: Any, *, adapter: str) -> None:
    """Raises WorldError unless it is Discrete, or MultiDiscrete or a Tuple of such with few enough combinations."""
    strange = _stranger(space)
    if strange is not None:
        inside = "" if strange is space else f" holds {strange!r}, which"
        raise WorldError(
            f"{adapter}: action space {space!r} of agent {name!r}{inside} is neither Discrete, MultiDiscrete, nor "
            f"{'a Tuple of them' if inside else 'a Tuple of them, nor a Box'}",
            remedy=_other_form(strange, inside=bool(inside)),
        )
    sizes = _factor_sizes(space)
    if not sizes:
        raise WorldError(
            f"{adapter}: action space {space!r} of agent {name!r} is empty: there is nothing to choose",
            remedy="Give an agent that only sends messages Discrete(1)",
        )
    if len(sizes) > 1 and (factors := Factors(sizes=sizes)).count > MOST_JOINT_ACTIONS:
        raise WorldError(
            f"{adapter}: action space of agent {name!r} has {factors.words}, more than the {MOST_JOINT_ACTIONS} that "
            "are numbered",
            remedy="Give coarser factors, act on one of them at a time, or give a Box of real numbers",
        )


def _stranger(space: Any) -> Any:
    """The first space in a space of numbered actions that is none; None if there is none."""
    if isinstance(space, spaces.Tuple):
        return next((found for part in space.spaces if (found := _stranger(part)) is not None), None)
    return None if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else space


def _other_form(space: Any, *, inside: bool) -> str:
    """How an environment can say the same with a space that a team can have."""
    if isinstance(space, spaces.MultiBinary):
        return f"Give MultiDiscrete, of {int(np.prod(space.shape))} factors of 2, whose combinations are numbered"
    if isinstance(space, spaces.Dict):
        return "Give a Tuple of its parts where all are numbered, or one Box where all are real numbers"
    if inside:
        return "Give numbered levels in its place, Discrete(n), or one Box of real numbers for the whole action"
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
