"""Nodes and constants of a graph in the making."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper


class Nodes:
    """Each call of `add` makes one node and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """The name of a constant tensor of these numbers."""
        name = f"constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def real(self, value: npt.ArrayLike) -> str:
        return self.constant(value, np.float32)

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"value.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=f"own.{len(self.nodes)}", **attributes))
        return name

    def reshaped(self, value: str, shape: tuple[int, ...], *, output: str | None = None) -> str:
        return self.add("Reshape", value, self.constant(shape, np.int64), output=output)
