"""ONNX policies as other trainers leave them, with random weights, for the tests of what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Value = tuple[str, tuple[Any, ...]]


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[Value],
    outputs: list[Value],
    weights: dict[str, np.ndarray],
    opset: int = 18,
) -> bytes:
    """A graph of float32 tensors; a text in a shape leaves that dimension open."""
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9).SerializeToString()


def mlp(size: int, outputs: dict[str, int], *, batch: Any = 1, hidden: int = 8, opset: int = 18) -> bytes:
    """Of an observation `obs` [batch, size] through one hidden layer; a head for each of the outputs."""
    random = np.random.default_rng(3)
    weights = {"first": random.normal(size=(size, hidden))}
    nodes = [helper.make_node("MatMul", ["obs", "first"], ["inner"]), helper.make_node("Tanh", ["inner"], ["hidden"])]
    for name, count in outputs.items():
        weights[f"to {name}"] = random.normal(size=(hidden, count))
        nodes.append(helper.make_node("MatMul", ["hidden", f"to {name}"], [name]))
    return model(
        nodes, [("obs", (batch, size))], [(name, (batch, count)) for name, count in outputs.items()], weights, opset
    )


def gru(size: int, actions: int, *, hidden: int = 6) -> bytes:
    """Of `obs` [1, 1, size] and a state `h` [1, 1, hidden], as `torch.nn.GRU` is exported."""
    random = np.random.default_rng(4)
    weights = {
        "w": random.normal(size=(1, 3 * hidden, size)),
        "r": random.normal(size=(1, 3 * hidden, hidden)),
        "b": random.normal(size=(1, 6 * hidden)),
        "head": random.normal(size=(hidden, actions)),
    }
    nodes = [
        helper.make_node(
            "GRU", ["obs", "w", "r", "b", "", "h"], ["", "h_out"], hidden_size=hidden, linear_before_reset=1
        ),
        helper.make_node("MatMul", ["h_out", "head"], ["logits"]),
    ]
    inputs: list[Value] = [("obs", (1, 1, size)), ("h", (1, 1, hidden))]
    return model(nodes, inputs, [("logits", (1, 1, actions)), ("h_out", (1, 1, hidden))], weights)


def talking(size: int, actions: int, agents: int, *, numbers: int = 3) -> bytes:
    """Of `obs` [1, size], what has come, `inbox` [1, agents, numbers], and from whom, `present` [1, agents].

    Sends `message` [1, numbers], between -1 and 1, and acts by what it sees and the sum of what has come.
    """
    random = np.random.default_rng(5)
    weights = {
        "see": random.normal(size=(size, actions)),
        "hear": random.normal(size=(numbers, actions)),
        "count": random.normal(size=(agents, actions)),
        "say": random.normal(size=(size, numbers)) / size,
    }
    nodes = [
        helper.make_node("MatMul", ["obs", "see"], ["seen"]),
        helper.make_node("ReduceSum", ["inbox", "axes"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["sum", "hear"], ["heard"]),
        helper.make_node("MatMul", ["present", "count"], ["counted"]),
        helper.make_node("Sum", ["seen", "heard", "counted"], ["logits"]),
        helper.make_node("MatMul", ["obs", "say"], ["thought"]),
        helper.make_node("Tanh", ["thought"], ["message"]),
    ]
    inputs: list[Value] = [("obs", (1, size)), ("inbox", (1, agents, numbers)), ("present", (1, agents))]
    made = onnx.load_from_string(model(nodes, inputs, [("logits", (1, actions)), ("message", (1, numbers))], weights))
    made.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "axes"))
    return made.SerializeToString()
