"""Parses `step.onnx` into plain data, and refuses what of ONNX a step function has no use for.

By protobuf and a schema of our own, proto/heliograph/v1/step_graph.proto: the package `onnx` is not part of an
installation that only runs agents, and a parser of another kind could read the same bytes in another way than the
runtime does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from heliograph.pb import step_graph_pb2 as pb

Shape = tuple[int, ...]

MAX_NODES = 4_096
MAX_TENSORS = 10_000
MAX_RANK = 12
LARGEST_SIZE = 2**31
"""Of any dimension that a file states."""
OPERATOR_SETS = range(18, 24)
"""Versions of ONNX's operators whose meaning `operators` knows."""
KNOWN_INTEGERS = 64
"""A constant of so many integers at most is read, for it may say a shape; no tensor has more dimensions."""

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    9: np.dtype("?"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
}
"""Types of numbers that a graph may hold, by ONNX's number for them."""
_DATA_FIELDS = ("float_data", "int32_data", "int64_data", "double_data")
_FIELD_OF = {1: "float_data", 7: "int64_data", 11: "double_data"}
"""Where a tensor without raw data has its numbers, by type; others are in `int32_data`."""
_ATTRIBUTE_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
"""Where an attribute's value is, by its type."""


class Refused(ValueError):
    """Why a graph is not one of a step function, as the end of a sentence."""


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A tensor that the file holds; of its numbers only a few integers, which may say a shape."""

    shape: Shape
    integers: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operator's application: names of values in and out ("" for one that is left out), and its attributes."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    """Numbers, bytes, tuples of them, or a `Constant`."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What a file holds, without its weights."""

    inputs: dict[str, Shape]
    constants: dict[str, Constant]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    stated: dict[str, Shape]
    """What the file says of the shapes of values on the way; it may say nothing, and it may be wrong."""


def read_graph(data: bytes) -> Graph:
    """Parse a file's bytes.  Raises Refused."""
    try:
        model = pb.Model.FromString(data)
    except DecodeError:
        raise Refused("it is no ONNX file, or has names that are not UTF-8") from None
    _only(model, "the file", without=("training_info", "functions", "configuration"))
    sets = [(entry.domain, entry.version) for entry in model.opset_import]
    if len(sets) != 1 or sets[0][0] != "" or sets[0][1] not in OPERATOR_SETS:
        raise Refused(
            f"it uses the operator sets {sets!r}, not just ONNX's own of version "
            f"{OPERATOR_SETS.start} to {OPERATOR_SETS.stop - 1}"
        )
    for entry in model.opset_import:
        _only(entry, "the file")
    return _graph(model.graph)


def _graph(graph: pb.Graph) -> Graph:
    _only(graph, "the graph", without=("quantization_annotation", "sparse_initializer"))
    if len(graph.node) > MAX_NODES or len(graph.initializer) > MAX_TENSORS:
        raise Refused(
            f"it has {len(graph.node)} nodes and {len(graph.initializer)} tensors; "
            f"at most {MAX_NODES} and {MAX_TENSORS} are allowed"
        )
    inputs = [(value.name, _stated_shape(value)) for value in graph.input]
    for name, shape in inputs:
        if shape is None:
            raise Refused(f"its input {name!r} has no fixed shape")
    outputs = [value.name for value in graph.output]
    stated = [(value.name, _stated_shape(value)) for value in (*graph.output, *graph.value_info)]
    return Graph(
        inputs=_by_name(inputs, "input"),
        constants=_by_name(((tensor.name, _constant(tensor)) for tensor in graph.initializer), "tensor"),
        nodes=tuple(_node(node) for node in graph.node),
        outputs=tuple(outputs),
        stated={name: shape for name, shape in stated if shape is not None},
    )


def _node(node: pb.Node) -> Node:
    place = f"node {node.name!r} ({node.op_type})"
    if node.domain:
        raise Refused(f"{place} is of the domain {node.domain!r}, not one of ONNX's own operators")
    _only(node, place, without=("overload", "device_configurations"))
    return Node(
        name=node.name,
        operator=node.op_type,
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes=_by_name(((each.name, _attribute(each, place)) for each in node.attribute), f"attribute of {place}"),
    )


def _attribute(attribute: pb.Attribute, place: str) -> Any:
    place = f"attribute {attribute.name!r} of {place}"
    unused = ("g", "graphs", "tensors", "tp", "type_protos", "ref_attr_name", "sparse_tensor", "sparse_tensors")
    _only(attribute, place, without=unused)
    field = _ATTRIBUTE_FIELDS.get(attribute.type)
    if field is None:
        raise Refused(f"{place} is of type {attribute.type}, which is neither numbers, text nor a tensor")
    value = getattr(attribute, field)
    if field == "t":
        return _constant(value)
    return tuple(value) if field in ("floats", "ints", "strings") else value


def _constant(tensor: pb.Tensor) -> Constant:
    place = f"tensor {tensor.name!r}"
    _only(tensor, place, without=("segment", "string_data", "uint64_data", "external_data", "data_location"))
    dtype = DTYPES.get(tensor.data_type)
    if dtype is None:
        raise Refused(f"{place} has data of type {tensor.data_type}")
    shape = _checked_shape(tensor.dims, place)
    size = math.prod(shape)
    fields = [name for name in _DATA_FIELDS if len(getattr(tensor, name))]
    expected = _FIELD_OF.get(tensor.data_type, "int32_data")
    if fields and (tensor.raw_data or fields != [expected]):
        raise Refused(f"{place} has its numbers in {', '.join(fields)}")
    raw = not fields
    held = len(tensor.raw_data) / dtype.itemsize if raw else len(getattr(tensor, expected))
    if held != size:
        raise Refused(f"{place} holds {held:g} numbers, its shape {list(shape)} needs {size}")
    if dtype.kind not in "iu" or size > KNOWN_INTEGERS:
        return Constant(shape=shape, integers=None)
    values = np.frombuffer(tensor.raw_data, dtype).tolist() if raw else getattr(tensor, expected)
    return Constant(shape=shape, integers=tuple(int(value) for value in values))


def _stated_shape(value: pb.ValueInfo) -> Shape | None:
    """The fixed shape that a value is said to have; None if that is left open."""
    place = f"value {value.name!r}"
    for message in (value, value.type):
        _only(message, place)
    if value.type.WhichOneof("value") not in (None, "tensor_type"):
        raise Refused(f"{place} is no tensor")
    tensor = value.type.tensor_type
    for part in (tensor, tensor.shape, *tensor.shape.dim):
        _only(part, place)
    if not tensor.HasField("shape"):
        return None
    if any(dimension.WhichOneof("value") != "dim_value" for dimension in tensor.shape.dim):
        return None
    return _checked_shape([dimension.dim_value for dimension in tensor.shape.dim], place)


def _checked_shape(sizes: Sequence[int], place: str) -> Shape:
    if len(sizes) > MAX_RANK or any(not 0 <= size < LARGEST_SIZE for size in sizes):
        raise Refused(f"{place} has shape {list(sizes[:MAX_RANK])}")
    return tuple(sizes)


def _by_name(entries: Iterable[tuple[str, Any]], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, entry in entries:
        if not name or name in found:
            raise Refused(f"it has two of the name {name!r}: {kind}" if name else f"it has one without a name: {kind}")
        found[name] = entry
    return found


def _only(message: Message, place: str, *, without: Iterable[str] = ()) -> None:
    """Refuse fields that the schema does not know, and those that it knows only by name."""
    if len(UnknownFieldSet(message)):
        raise Refused(f"{place} has fields that this program does not know")
    for name in _present(message, without):
        raise Refused(f"{place} has {name}, which a step function does not need")


def _present(message: Message, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if getattr(message, name))
