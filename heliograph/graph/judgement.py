"""Adds up what a graph becomes, before a runtime makes it: sizes of values, what is computed at loading, work per step.

The limits are far above any policy of this project and far below what hurts a machine; docs/bundle.md states them.
"""

from __future__ import annotations

from collections.abc import Callable

from heliograph.errors import BundleCorrupt
from heliograph.graph.call import Call, size_of
from heliograph.graph.operators import OPERATORS, multiplications
from heliograph.graph.reading import KNOWN_INTEGERS, MAX_RANK, Constant, Graph, Node, Refused, Shape, read_graph

MAX_VALUE = 2**23
"""Numbers in one value; 64 MiB at most."""
MAX_VALUES = 2**26
"""Numbers in all values of one step together; 512 MiB at most, and few of them are there at the same time."""
MAX_FOLDED = 2**23
"""Numbers in all values that follow from constants alone, beyond as many as the constants themselves have (weights may
stand transposed): a runtime computes them while it loads, and keeps them."""
MAX_WORK = 2**32
"""Multiplications of one step, a second or so; reading or writing a number counts as `_TOUCH` of them."""
_TOUCH = 8


def check_graph(data: bytes) -> None:
    """Raise BundleCorrupt unless these are the bytes of a graph that is safe to load and run."""
    try:
        shapes_of(read_graph(data))
    except Refused as refusal:
        raise BundleCorrupt(
            f"step.onnx is refused: {refusal}", remedy="docs/bundle.md says what a step function may be made of"
        ) from None


def shapes_of(graph: Graph) -> dict[str, Shape]:
    """The shape of every value, by name.  Raises Refused, also for a graph past a limit."""
    known = _Known(graph)
    for node in graph.nodes:
        try:
            known.take(node)
        except Refused as refusal:
            raise Refused(f"node {node.name!r} ({node.operator}): {refusal}") from None
    for name in graph.outputs:
        if name not in known.shapes:
            raise Refused(f"nothing makes its output {name!r}")
    for name, shape in graph.stated.items():
        if known.shapes.get(name, shape) != shape:
            raise Refused(f"value {name!r} is said to have shape {list(shape)}, and has {list(known.shapes[name])}")
    return known.shapes


class _Known:
    """The values that the nodes so far have made, and what they have used up of each limit."""

    def __init__(self, graph: Graph) -> None:
        self.shapes: dict[str, Shape] = {}
        self._integers = {name: constant.integers for name, constant in graph.constants.items()}
        self._constants = set(graph.constants)
        self._values = self._folded = self._work = 0
        self._foldable = MAX_FOLDED + sum(size_of(constant.shape) for constant in graph.constants.values())
        for name, shape in (*graph.inputs.items(), *((n, constant.shape) for n, constant in graph.constants.items())):
            self._name(name, shape)

    def take(self, node: Node) -> None:
        """Add a node's outputs.  Raises Refused."""
        if node.operator not in OPERATORS:
            raise Refused("it is not an operator of step functions")
        for name in node.inputs:
            if name and name not in self.shapes:
                raise Refused(f"nothing before it makes its input {name!r}")
        shapes = [self.shapes[name] if name else None for name in node.inputs]
        call = Call(node, shapes, [self._integers.get(name) for name in node.inputs])
        made = _shapes(OPERATORS[node.operator], call)
        if len(node.outputs) > len(made):
            raise Refused(f"it has {len(node.outputs)} outputs instead of {len(made)}")
        # What a runtime computes at loading: also the shape of a value, whatever the value is made of.
        folded = node.operator == "Shape" or all(name in self._constants for name in node.inputs if name)
        size = 0
        for name, shape in zip(node.outputs, made, strict=False):
            if not name:
                continue
            _check_size(shape)
            size += size_of(shape)
            self._name(name, shape)
            if folded:
                self._constants.add(name)
        self._remember(node)
        self._values += size
        self._folded += size if folded else 0
        self._work += multiplications(call, made[0])
        self._work += _TOUCH * (size + sum(size_of(shape) for shape in shapes if shape is not None))
        for spent, limit, what in (
            (self._values, MAX_VALUES, "numbers in all values together"),
            (self._folded, self._foldable, "numbers that follow from constants"),
            (self._work, MAX_WORK, "multiplications, or as much other work"),
        ):
            if spent > limit:
                raise Refused(f"with it, a step has {spent} {what}; at most {limit} are allowed")

    def _name(self, name: str, shape: Shape) -> None:
        if name in self.shapes:
            raise Refused(f"value {name!r} is made twice")
        self.shapes[name] = shape

    def _remember(self, node: Node) -> None:
        """Small integers that the file says by a node instead of a tensor."""
        if node.operator == "Constant":
            (value,) = node.attributes.values()
            if not isinstance(value, Constant):
                numbers = value if isinstance(value, tuple) else (value,)
                whole = len(numbers) <= KNOWN_INTEGERS and all(type(number) is int for number in numbers)
                value = Constant(shape=(), integers=numbers if whole else None)
            self._integers[node.outputs[0]] = value.integers
        elif node.operator == "Identity":
            self._integers[node.outputs[0]] = self._integers.get(node.inputs[0])


def _shapes(rule: Callable[[Call], list[Shape]], call: Call) -> list[Shape]:
    try:
        return rule(call)
    except Refused:
        raise
    except (ValueError, TypeError, IndexError, ZeroDivisionError, StopIteration):
        raise Refused("its inputs and attributes make no sense together") from None


def _check_size(shape: Shape) -> None:
    if len(shape) > MAX_RANK or size_of(shape) > MAX_VALUE:
        raise Refused(
            f"it makes a value of shape {list(shape)}, more than {MAX_VALUE} numbers or {MAX_RANK} dimensions"
        )
