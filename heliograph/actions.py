"""What an agent can do: one of some actions, or a vector within bounds.

Axis legend: A entries of an action mask; k dimensions of a continuous action.

A continuous action is written in units of its bounds, float32 [k] in (-1, 1), everywhere but inside a simulator, and
always lies on a grid: what an agent's own model remembers, what its neighbours are told and what the world gets are
then the same number.

Plain dataclasses that check themselves, as manifests are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from heliograph.checks import check_finite, check_integer
from heliograph.codecs.bit_packed import BitPacked
from heliograph.errors import MessageError

Action = int | npt.NDArray[np.float32]
"""The number of an action, or float32 [k] of a continuous one."""

DEFAULT_BITS = 8
"""Per dimension: steps of 1/127 of the way from the middle to a bound."""

LARGEST_SIZE = 2**24


@dataclass(frozen=True, kw_only=True)
class DiscreteActions:
    """One of `count` actions, numbered from 0."""

    count: int
    kind: str = "discrete"

    shape: ClassVar[tuple[int, ...]] = ()
    """Of one agent's action, an integer."""
    dtype: ClassVar[type[np.generic]] = np.int32

    def __post_init__(self) -> None:
        check_integer("actions.count", self.count, 1, LARGEST_SIZE)
        if self.kind != "discrete":
            raise ValueError(f"actions.kind is {self.kind!r}, this program knows 'discrete' and 'continuous'")

    @property
    def mask_size(self) -> int:
        """A: an action mask says of each action whether it is legal."""
        return self.count

    @property
    def policy_size(self) -> int:
        """Numbers that a policy puts out: a logit for each action."""
        return self.count

    @property
    def message_bits(self) -> int:
        """That naming one takes."""
        return (self.count - 1).bit_length()

    def admits(self, action: Any) -> bool:
        """Whether there is such an action."""
        return isinstance(action, int | np.integer) and bool(0 <= action < self.count)

    def is_legal(self, action: Any, mask: npt.NDArray[np.bool_]) -> bool:
        """Whether there is such an action, and the mask bool [A] allows it."""
        return self.admits(action) and bool(mask[action])


@dataclass(frozen=True, kw_only=True)
class ContinuousActions:
    """A vector of k numbers between `low` and `high`, each one of 2**bits - 1 levels.

    An odd number of levels: zero is one of them, and the bounds themselves are none, so that the inverse of a squashing
    function is finite at each.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    """Of each dimension; both 0 where the team's widest agent has one that this agent lacks."""
    bits: int = DEFAULT_BITS
    kind: str = "continuous"

    dtype: ClassVar[type[np.generic]] = np.float32

    def __post_init__(self) -> None:
        if self.kind != "continuous":
            raise ValueError(f"actions.kind is {self.kind!r}, this program knows 'discrete' and 'continuous'")
        for name, values in (("low", self.low), ("high", self.high)):
            check_finite(f"actions.{name}", values)
        if not self.low or len(self.low) != len(self.high) or len(self.low) > LARGEST_SIZE:
            raise ValueError(f"actions.low and actions.high have {len(self.low)} and {len(self.high)} numbers")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"actions.low {self.low} is above actions.high {self.high}")
        check_integer("actions.bits", self.bits, 2, 16)

    @property
    def size(self) -> int:
        """k."""
        return len(self.low)

    @property
    def own_size(self) -> int:
        """Dimensions that the agent has, as far as its bounds tell: without those at the end that are 0 and 0."""
        bounded = [place for place in range(self.size) if self.low[place] or self.high[place]]
        return bounded[-1] + 1 if bounded else self.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one agent's action."""
        return (self.size,)

    @property
    def mask_size(self) -> int:
        """A = k: an action mask says which dimensions the agent has."""
        return self.size

    @property
    def policy_size(self) -> int:
        """Numbers that a policy puts out: a mean and a deviation for each dimension, before squashing."""
        return 2 * self.size

    @property
    def message_bits(self) -> int:
        """That a message spends on one, dimensions that its agent lacks included."""
        return self.size * self.bits

    def admits(self, action: Any) -> bool:
        """Whether it is a vector [k] with all numbers between -1 and 1."""
        return isinstance(action, np.ndarray) and action.shape == self.shape and bool((np.abs(action) < 1).all())

    def is_legal(self, action: Any, mask: npt.NDArray[np.bool_]) -> bool:
        """Whether it is admitted, and 0 in the dimensions that the agent lacks by the mask bool [A]."""
        return self.admits(action) and not action[~mask].any()

    @property
    def levels(self) -> int:
        """L = 2**bits - 1."""
        return (1 << self.bits) - 1

    @cached_property
    def codec(self) -> BitPacked:
        """Writes the levels of an action as it writes the class ids of a latent."""
        return BitPacked(categoricals=self.size, classes=self.levels)

    def snapped(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Values [..., k] in [-1, 1] at the middle of their cells, float32."""
        return self.values(np.clip(np.floor((values + 1) * (self.levels / 2)), 0, self.levels - 1))

    def numbers(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Levels int64 [..., k] of values on the grid."""
        places = (np.asarray(values, np.float64) + 1) * (self.levels / 2) - 0.5
        numbers: npt.NDArray[np.int64] = np.rint(places).astype(np.int64)
        return numbers

    def values(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Values float32 [..., k] of levels; the inverse of `numbers`."""
        # One division of two whole numbers is rounded alike everywhere, in an exported graph too.
        return (2 * np.asarray(numbers) + (1 - self.levels)).astype(np.float32) / np.float32(self.levels)

    def settled(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32] | None:
        """Values [k] that lie on the grid but for rounding, exactly as `values` has them; None if they do not.

        What a graph computes may differ from what a reader of the message gets, in the last bit.
        """
        given = np.asarray(values)
        if not self.admits(given):
            return None
        exact = self.values(self.numbers(given))
        return exact if np.abs(exact - given).max() <= 0.1 / self.levels else None

    def scaled(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Values [..., k] in the world's own units, float32."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        scaled: npt.NDArray[np.float32] = (low + (np.asarray(values, np.float64) + 1) / 2 * (high - low)).astype(
            np.float32
        )
        return scaled

    def unscaled(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """The inverse of `scaled`, 0 where `low` is `high`: float32 [..., k] in [-1, 1], not on the grid."""
        low, span = np.asarray(self.low), np.asarray(self.high) - np.asarray(self.low)
        units = (np.asarray(values, np.float64) - low) / np.where(span > 0, span, 1.0) * 2 - 1
        return np.where(span > 0, np.clip(units, -1, 1), 0.0).astype(np.float32)

    def pack(self, values: Action) -> bytes:
        """The levels of values [k] on the grid.  Raises MessageError for a wrong shape or a value out of bounds."""
        given = np.asarray(values)
        if not self.admits(given):
            raise MessageError(f"action {given.tolist()} is not {self.size} numbers between -1 and 1")
        return self.codec.pack(self.numbers(given))

    def unpack(self, payload: bytes) -> npt.NDArray[np.float32]:
        """The inverse of `pack`, float32 [k].  Raises MessageError for anything that `pack` does not return."""
        try:
            return self.values(self.codec.unpack(payload))
        except MessageError:
            raise MessageError(
                f"{len(payload)} bytes are no action of {self.size} numbers with {self.bits} bits each"
            ) from None


ActionSpace = DiscreteActions | ContinuousActions


def received(actions: ActionSpace, *, number: int, levels: bytes, sender: str) -> Action:
    """The action in what `sender` names, of whose two fields for one a space fills only its own.

    Raises MessageError for an action of the other kind, and for levels that are none.
    """
    if isinstance(actions, DiscreteActions):
        if levels:
            raise MessageError(f"{sender} has the levels of a continuous action, here they are numbered")
        return number
    if number:
        raise MessageError(f"{sender} has action {number}, here they are continuous")
    return actions.unpack(levels)
