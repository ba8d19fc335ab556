"""A node with what is known of its inputs, and the arithmetic of shapes that many operators share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from heliograph.graph.reading import Node, Refused, Shape


class Call:
    """A node with what is known of its inputs: shapes, and the integers of those that are small constants."""

    def __init__(self, node: Node, shapes: Sequence[Shape | None], integers: Sequence[tuple[int, ...] | None]) -> None:
        self.node = node
        self._shapes, self._integers = shapes, integers

    @property
    def arity(self) -> int:
        return len(self._shapes)

    def given(self, index: int) -> bool:
        """Whether there is such an input."""
        return index < self.arity and self._shapes[index] is not None

    def shape(self, index: int = 0) -> Shape:
        shape = self._shapes[index] if index < self.arity else None
        if shape is None:
            raise Refused(f"its input {index} is missing")
        return shape

    def integers(self, index: int) -> tuple[int, ...]:
        """The numbers of an input that decides about sizes."""
        self.shape(index)
        values = self._integers[index]
        if values is None:
            raise Refused(f"a size follows from its input {index}, which is no constant integers of the file")
        return values

    def integer(self, index: int) -> int:
        values = self.integers(index)
        if len(values) != 1:
            raise Refused(f"its input {index} is {list(values)}, not one integer")
        return values[0]

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, of the type of its default; an int where that is None."""
        value = self.node.attributes.get(name, default)
        expected = int if default is None else type(default)
        if value is not default and type(value) is not expected:
            raise Refused(f"its attribute {name} is {value!r}")
        return value

    def axis(self, default: int | None = None, *, rank: int | None = None) -> int:
        """The attribute of that name, counted from the first dimension; `rank` is that of the first input."""
        return place(self.attribute("axis", default), len(self.shape()) if rank is None else rank)


def place(axis: int | None, rank: int) -> int:
    """An axis counted from the first dimension."""
    if axis is None or not -rank <= axis < rank:
        raise Refused(f"it has no axis {axis} among {rank}")
    return axis % rank


def places(axes: Sequence[int], rank: int) -> list[int]:
    found = [place(axis, rank) for axis in axes]
    if len(set(found)) < len(found):
        raise Refused(f"it names an axis twice: {list(axes)}")
    return found


def broadcast(*shapes: Shape) -> Shape:
    """The shape of elementwise results, as in numpy."""
    result: list[int] = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            raise Refused(f"its inputs of shapes {', '.join(map(str, map(list, shapes)))} do not fit")
        result.append(others.pop() if others else 1)
    return tuple(reversed(result))


def size_of(shape: Shape) -> int:
    """How many numbers a tensor has; dimensions without any count as one, for none may hide another."""
    return math.prod(max(1, size) for size in shape)
