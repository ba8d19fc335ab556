"""ONNX graphs made by hand, for the tests of what a graph may be made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
TYPES = {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "b": TensorProto.BOOL}


def node(operator: str, *inputs: str, outputs: int = 1, name: str = "made", **attributes: Any) -> onnx.NodeProto:
    """A node with outputs `out`, `out1`, …, or one of the name given as `output`."""
    names = [attributes.pop("output")] if "output" in attributes else ["out", *(f"out{n}" for n in range(1, outputs))]
    return helper.make_node(operator, list(inputs), names, name=name, **attributes)


def model(
    nodes: list[onnx.NodeProto],
    *,
    inputs: dict[str, tuple[int, ...]] | None = None,
    constants: dict[str, Any] | None = None,
    outputs: tuple[str, ...] = ("out",),
    kind: str = "f",
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A graph with inputs of these shapes, all of one kind of numbers; what its outputs are is left open."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, TYPES[kind], shape) for name, shape in (inputs or {}).items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
