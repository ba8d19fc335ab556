"""How the values of a recording's lines are spelled in JSON: each kind reads, writes and describes itself.

For `schema.py`, which puts one of these into the annotation of each field.  Axes have the letters of its legend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from heliograph.action_rows import ActionRows
from heliograph.actions import ContinuousActions
from heliograph.codecs.message_format import MessageFormat

_KINDS = {"bool": "bi", "float32": "fi", "int32": "i", "int64": "i"}
"""Kinds of numpy's own that are read as one of ours."""
_NOUNS = {"bool": "booleans", "float32": "numbers", "int32": "integers", "int64": "integers"}


class NotAsDeclared(ValueError):
    """What is wrong with a value; the message goes on after the field's name."""


def unexpected(value: Any, expected: str) -> NotAsDeclared:
    """The complaint that a value is not what its field holds, with as much of the value as fits in a line."""
    text = repr(value)
    return NotAsDeclared(f"{text if len(text) <= 60 else f'{text[:57]}…'}, expected {expected}")


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """What the header says that every step has: the context in which its lines are read."""

    sizes: Mapping[str, int]
    """By the letter of an axis; those that the run lacks are left out."""
    classes: int = 0
    """How many ids there are to choose from in a latent."""
    rows: ActionRows
    """How actions stand in one array."""


class Spelling:
    """Metadata of a field that pydantic reads and writes by it."""

    phrase: str
    """What stands in the file, in words."""

    def read(self, value: Any, info: ValidationInfo) -> Any:
        """What a field holds for what stands in the file.  Raises NotAsDeclared."""
        raise NotImplementedError

    def write(self, value: Any) -> Any:
        """The inverse."""
        return value.tolist()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.write)
        )


class Array(Spelling):
    """Nested lists of numbers or booleans, of just this shape; null where the run lacks one of the axes.

    Booleans may stand as 0 and 1, and are written so with `digits`.
    """

    def __init__(self, dtype: Literal["bool", "float32", "int32", "int64"], *axes: str, digits: bool = False) -> None:
        self._dtype, self._axes, self._digits = np.dtype(dtype), axes, digits
        self.phrase = f"{''.join(f'[{axis}]' for axis in axes)} {'0 or 1' if digits else _NOUNS[dtype]}"

    def read(self, value: Any, info: ValidationInfo) -> npt.NDArray[Any] | None:
        sizes = _dimensions(info).sizes
        if any(axis not in sizes for axis in self._axes):
            if value is not None:
                raise unexpected(value, "null, as the header says")
            return None
        return self._of_shape(value, tuple(sizes[axis] for axis in self._axes))

    def write(self, value: npt.NDArray[Any] | None) -> Any:
        if value is None:
            return None
        return value.astype(np.int64).tolist() if self._digits else value.tolist()

    def _of_shape(self, value: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        try:
            found = np.array(value)
        except (ValueError, OverflowError):
            raise NotAsDeclared("whose rows differ in length or whose numbers are too large") from None
        kinds = _KINDS[self._dtype.name]
        if found.shape != shape or found.dtype.kind not in kinds:
            raise NotAsDeclared(f"of shape {found.shape} and type {found.dtype}, expected {shape} of {kinds}")
        if self._dtype == np.bool_ and found.dtype != np.bool_ and not within(found, 0, 2):
            raise NotAsDeclared("with something besides true and false")
        if self._dtype == np.float32 and np.abs(found).max(initial=0.0) > np.finfo(np.float32).max:
            raise NotAsDeclared("with a number beyond float32")
        if self._dtype == np.int32 and not within(found, -(2**31), 2**31):
            raise NotAsDeclared("with a number beyond int32")
        return found.astype(self._dtype, copy=False)


class Latents(Array):
    """[N][K] ids 0..C-1, or -1 all along for an agent whose latent was not reported."""

    def __init__(self) -> None:
        super().__init__("int32", "N", "K")
        self.phrase = "[N][K] ids 0..C-1, null where there are no messages"

    def read(self, value: Any, info: ValidationInfo) -> npt.NDArray[np.int32] | None:
        latents = super().read(value, info)
        if latents is not None:
            classes = _dimensions(info).classes
            if not within(latents[~(latents == -1).all(1)], 0, classes):
                raise NotAsDeclared(f"with an id outside 0..{classes - 1}")
        return latents


class Actions(Spelling):
    """[N] numbered ones, [N][A] continuous ones, or rows of a mixed team."""

    phrase = (
        "[N] integers 0..A-1, [N][A] numbers between -1 and 1 where actions are continuous, or [N][1+k], a choice and "
        "a vector of which each agent has one, where they are of both kinds"
    )

    def __init__(self) -> None:
        self._numbered, self._rows = Array("int64", "N"), Array("float32", "N", "R")

    def read(self, value: Any, info: ValidationInfo) -> npt.NDArray[np.int64 | np.float32]:
        rows = _dimensions(info).rows
        action = (self._rows if rows.size else self._numbered).read(value, info)
        assert action is not None
        if not rows.size:
            if not within(action, 0, rows.choices):
                raise unexpected(value, "actions that exist")
            return action
        if not (np.abs(action[:, 1:] if rows.mixed else action) < 1).all():
            raise unexpected(value, "numbers between -1 and 1")
        if rows.mixed and not (within(action[:, 0], 0, rows.choices) and (action[:, 0] % 1 == 0).all()):
            raise unexpected(value, "choices that exist")
        return action


class Pairs(Spelling):
    """bool [N, N] as a list of the true ones of each row."""

    phrase = "[N] lists of slots of others, ascending"

    def read(self, value: Any, info: ValidationInfo) -> npt.NDArray[np.bool_]:
        agents = _dimensions(info).sizes["N"]
        if not isinstance(value, list) or len(value) != agents:
            raise unexpected(value, f"{agents} lists of slots")
        pairs = np.zeros((agents, agents), dtype=bool)
        for slot, row in enumerate(value):
            proper = isinstance(row, list) and all(type(peer) is int and 0 <= peer < agents for peer in row)
            if not proper or sorted(set(row)) != row or slot in row:
                raise unexpected(row, "ascending slots of others")
            pairs[slot, row] = True
        return pairs

    def write(self, value: npt.NDArray[np.bool_]) -> list[list[int]]:
        return [np.flatnonzero(row).tolist() for row in value]


class Delays(Spelling):
    """int64 [N, N] as a list of the entries of each row that are not 0."""

    phrase = "[N] lists of [slot, steps], ascending by slot"

    def read(self, value: Any, info: ValidationInfo) -> npt.NDArray[np.int64]:
        expected = "a slot and a number of steps for each delayed message"
        if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
            raise unexpected(value, expected)
        entries = [entry for row in value for entry in row]
        if not all(isinstance(entry, list) and len(entry) == 2 for entry in entries):
            raise unexpected(value, expected)
        if not all(type(steps) is int and 0 < steps < 2**63 for _, steps in entries):
            raise unexpected(value, expected)
        delayed = Pairs().read([[slot for slot, _ in row] for row in value], info)
        delays = np.zeros(delayed.shape, dtype=np.int64)
        delays[delayed] = [steps for _, steps in entries]
        return delays

    def write(self, value: npt.NDArray[np.int64]) -> list[list[list[int]]]:
        return [[[slot, row[slot]] for slot in range(len(row)) if row[slot]] for row in value.tolist()]


class OneOf(Spelling):
    """Text of which there are a few."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts
        self.phrase = " or ".join(f'"{text}"' for text in texts)

    def read(self, value: Any, info: ValidationInfo) -> str:
        for text in self._texts:
            if value == text:
                return text
        raise unexpected(value, self.phrase)

    def write(self, value: str) -> str:
        return value


class Message(Spelling):
    """What a message holds."""

    phrase = (
        '{"categoricals": K, "classes": C}, with "prefix": true where only first ids may be said, or null where there '
        "are no messages"
    )

    def read(self, value: Any, info: ValidationInfo) -> MessageFormat | None:
        if value is None or isinstance(value, MessageFormat):
            return value
        if not isinstance(value, dict) or value.keys() - {"prefix"} != {"categoricals", "classes"}:
            raise unexpected(value, "a format")
        try:
            return MessageFormat(**value)
        except ValueError as error:
            raise NotAsDeclared(f"whose {error}") from None

    def write(self, value: MessageFormat | None) -> dict[str, int] | None:
        return None if value is None else value.to_json()


class Bounds(Spelling):
    """The continuous actions of each agent; of as many dimensions as the header has actions, or as are left of those
    where some agents have numbered ones."""

    phrase = (
        '[N] {"low": [A], "high": [A], "bits": …}, or [] where actions are numbered; where those of some agents are, '
        "null for each of these, and vectors of k numbers beside A - k actions"
    )

    def read(self, value: Any, info: ValidationInfo) -> tuple[ContinuousActions | None, ...]:
        if not isinstance(value, list | tuple) or len(value) not in (0, info.data.get("agents")):
            raise unexpected(value, "bounds of each agent")
        found = tuple(self._of_agent(entry) for entry in value)
        vectors = [space for space in found if space is not None]
        if found and not vectors:
            raise unexpected(value, "bounds of an agent, or [] where there are none")
        if len({space.bits for space in vectors}) > 1:
            raise unexpected(value, "as many bits for each agent")
        size = info.data.get("actions") or 0
        sizes = {space.size for space in vectors}
        if vectors and (len(sizes) > 1 or (max(sizes) >= size if None in found else sizes != {size})):
            raise unexpected(value, f"{f'fewer than {size}' if None in found else size} numbers low and high")
        return found

    def write(self, value: tuple[ContinuousActions | None, ...]) -> list[dict[str, Any] | None]:
        return [
            None if space is None else {"low": space.low, "high": space.high, "bits": space.bits} for space in value
        ]

    @staticmethod
    def _of_agent(entry: Any) -> ContinuousActions | None:
        if entry is None or isinstance(entry, ContinuousActions):
            return entry
        if not isinstance(entry, dict) or entry.keys() != {"low", "high", "bits"}:
            raise unexpected(entry, "low, high and bits")
        if not (isinstance(entry["low"], list) and isinstance(entry["high"], list)):
            raise unexpected(entry, "lists of numbers low and high")
        try:
            return ContinuousActions(low=tuple(entry["low"]), high=tuple(entry["high"]), bits=entry["bits"])
        except ValueError as error:
            raise NotAsDeclared(f"whose {error}") from None


class Counts(Array):
    """[K][C] counts of ids, of the message that the header describes."""

    def __init__(self) -> None:
        super().__init__("int64", "K", "C")
        self.phrase = "[K][C] counts that codecs go by, or null"

    def read(self, value: Any, info: ValidationInfo) -> npt.NDArray[np.int64] | None:
        if value is None:
            return None
        message = info.data.get("message")
        if message is None:
            raise NotAsDeclared("given, expected null where there are no messages")
        counts = self._of_shape(value, (message.categoricals, message.classes))
        if not within(counts, 0, 2**63):
            raise NotAsDeclared("negative, expected counts")
        return counts


def within(values: npt.NDArray[Any], low: int, high: int) -> bool:
    """Whether all of them are in low..high-1."""
    return bool(values.size == 0 or (low <= values.min() and values.max() < high))


def _dimensions(info: ValidationInfo) -> Dimensions:
    assert isinstance(info.context, Dimensions), "steps and totals are read in the context of a header"
    return info.context
