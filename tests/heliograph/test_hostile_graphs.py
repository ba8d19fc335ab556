"""Graphs that no algorithm exports are refused before a runtime sees them, by what they hold and what they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_graph import model, node
from onnx import TensorProto, helper
from scripted_bundle import scripted_bundle

from agent_node.step_function import StepFunction
from heliograph.errors import BundleCorrupt
from heliograph.graph import check_graph
from heliograph.manifest import sha256

SOUND = scripted_bundle(slot=0, team_size=2)
BODY = helper.make_graph([], "body", [], [])


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def chain(count: int, operator: str = "Add", *, copies: int = 2, **attributes: Any) -> list[onnx.NodeProto]:
    """Each node takes the one before it so many times."""
    names = ["x", *(f"value{n}" for n in range(count - 1)), "out"]
    return [node(operator, *[one] * copies, output=other, **attributes) for one, other in pairwise(names)]


LARGE = {
    "ConstantOfShape": model([node("ConstantOfShape", "to")], constants={"to": ints(2**14, 2**15)}),
    "Expand": model([node("Expand", "x", "to")], inputs={"x": (1,)}, constants={"to": ints(2**29)}),
    "Tile": model([node("Tile", "x", "times")], inputs={"x": (8,)}, constants={"times": ints(2**26)}),
    "Range": model(
        [node("Range", "a", "b", "c")], constants={"a": np.array(0), "b": np.array(2**62), "c": np.array(1)}
    ),
    "Pad": model([node("Pad", "x", "by")], inputs={"x": (8,)}, constants={"by": ints(2**30, 0)}),
    "OneHot": model(
        [node("OneHot", "at", "n", "of", axis=-1)],
        constants={"at": ints(*range(60)), "n": ints(2**30), "of": floats(2)},
    ),
    "MatMul": model([node("MatMul", "x", "y")], inputs={"x": (2**14, 1), "y": (1, 2**14)}),
    "Gemm": model([node("Gemm", "x", "y", transA=1)], inputs={"x": (1, 2**14), "y": (1, 2**14)}),
    "Einsum": model([node("Einsum", "x", "y", equation="i,j->ij")], inputs={"x": (2**14,), "y": (2**14,)}),
    "Gather": model([node("Gather", "x", "at")], inputs={"x": (8, 2**12)}, constants={"at": np.zeros(2**12, np.int64)}),
    "broadcast": model([node("Add", "x", "y")], inputs={"x": (2**14, 1), "y": (2**14,)}),
    "doubling": model(chain(29, "Concat", axis=0), inputs={"x": (1,)}),
    "unsqueezed": model([node("Unsqueeze", "x", "at")], inputs={"x": (1,)}, constants={"at": ints(*range(20))}),
    "many values": model(chain(20), inputs={"x": (2**22,)}),
    "many constants": model(
        [node("ConstantOfShape", "to", output="x"), *chain(8)], constants={"to": ints(2**20)}, inputs={"y": (1,)}
    ),
    "an empty one between": model([node("MatMul", "x", "y")], inputs={"x": (2**31 - 1, 0), "y": (0, 2**31 - 1)}),
    "work": model(
        [node("MatMul", "x", "y", output="z"), node("MatMul", "y", "z")], inputs={"x": (1400, 1400), "y": (1400, 1400)}
    ),
    "reading": model(
        [node("ReduceSum", "x", output=f"sum{n}") for n in range(200)], inputs={"x": (2**22,)}, outputs=("sum0",)
    ),
    "nodes": model(chain(4_097), inputs={"x": (1,)}),
}
UNKNOWN = {
    "If": model([node("If", "x", then_branch=BODY, else_branch=BODY)], inputs={"x": (1,)}),
    "Loop": model([node("Loop", "", "", "x", body=BODY)], inputs={"x": (1,)}),
    "Scan": model([node("Scan", "x", body=BODY, num_scan_inputs=1)], inputs={"x": (1,)}),
    "subgraph in a plain operator": model([node("Relu", "x", body=BODY)], inputs={"x": (1,)}),
    "RandomNormal": model([node("RandomNormal", shape=[2])]),
    "Resize": model([node("Resize", "x", "", "by")], inputs={"x": (1,)}, constants={"by": floats(1)}),
    "NonZero": model([node("NonZero", "x")], inputs={"x": (1,)}),
    "other domain": model([node("Relu", "x", domain="com.microsoft")], inputs={"x": (1,)}),
    "a number of strings": model([node("Cast", "x", to=TensorProto.STRING)], inputs={"x": (1,)}),
    "a size that follows from data": model([node("Reshape", "x", "to")], inputs={"x": (4,), "to": (1,)}),
    "a size that is computed": model(
        [node("Mul", "two", "two", output="to"), node("Expand", "x", "to")],
        inputs={"x": (1,)},
        constants={"two": ints(2)},
    ),
    "old operators": model([node("Relu", "x")], inputs={"x": (1,)}, opset=13),
    "a value twice": model([node("Relu", "x", output="x")], inputs={"x": (1,)}),
    "a value from nowhere": model([node("Relu", "y")], inputs={"x": (1,)}),
    "no output": model([node("Relu", "x")], inputs={"x": (1,)}, outputs=("y",)),
    "an attribute of another kind": model([node("ArgMax", "x", axis=[0])], inputs={"x": (1,)}),
}


def changed(change: Callable[[onnx.ModelProto], Any]) -> bytes:
    """A sound graph with one change."""
    made = onnx.load_from_string(SOUND.graph)
    change(made)
    return made.SerializeToString()


def external(made: onnx.ModelProto) -> None:
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def function(made: onnx.ModelProto) -> None:
    made.functions.append(
        helper.make_function(
            "own", "twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], made.opset_import
        )
    )


def said_to_be_larger(made: onnx.ModelProto) -> None:
    name = made.graph.node[0].output[0]
    made.graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [2**40]))


CHANGES: dict[str, Callable[[onnx.ModelProto], Any]] = {
    "external data": external,
    "functions": function,
    "a tensor larger than its data": lambda made: made.graph.initializer[0].dims.insert(0, 2**30),
    "a tensor of text": lambda made: made.graph.initializer.add(name="t", data_type=8, dims=[1], string_data=[b"x"]),
    "a tensor with data twice": lambda made: made.graph.initializer[0].float_data.append(1.0),
    "a sparse tensor": lambda made: made.graph.sparse_initializer.add(dims=[2**40]),
    "two operator sets": lambda made: made.opset_import.add(domain="com.microsoft", version=1),
    "an input of open size": lambda made: setattr(made.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "D"),
    "an input that is no tensor": lambda made: made.graph.input[
        0
    ].type.sequence_type.elem_type.tensor_type.SetInParent(),
    "two attributes of one name": lambda made: made.graph.node[-1].attribute.append(made.graph.node[-1].attribute[0]),
    "training": lambda made: made.training_info.add(),
    "a shape that is said wrongly": said_to_be_larger,
}


def assert_refused(data: bytes) -> str:
    """Refused, and by what the file says, not after having been loaded."""
    bundle = replace(SOUND, graph=data, manifest=replace(SOUND.manifest, graph_sha256=sha256(data)))
    with pytest.raises(BundleCorrupt, match=r"step\.onnx is refused: ") as raised:
        StepFunction(bundle)
    return str(raised.value)


@pytest.mark.parametrize("what", LARGE)
def test_what_becomes_too_large_is_refused(what: str) -> None:
    sentence = assert_refused(LARGE[what].SerializeToString())
    assert "more than" in sentence or "at most" in sentence


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_no_step_function_needs_is_refused(what: str) -> None:
    assert_refused(UNKNOWN[what].SerializeToString())


@pytest.mark.parametrize("what", CHANGES)
def test_a_sound_graph_with_one_change_is_refused(what: str) -> None:
    check_graph(SOUND.graph)
    assert_refused(changed(CHANGES[what]))


def test_a_name_that_is_not_utf8_is_refused() -> None:
    name = SOUND.manifest.state[0].name.encode()
    assert name in SOUND.graph
    assert_refused(SOUND.graph.replace(name, b"\xff" * len(name)))


def test_a_field_that_nobody_knows_is_refused() -> None:
    assert_refused(SOUND.graph + bytes([0xFA, 0x3F, 1, 0]))  # field 1023 of the file, one byte long


@pytest.mark.parametrize("data", [b"", b"no graph", SOUND.graph[:-1], SOUND.graph[: len(SOUND.graph) // 2]])
def test_what_is_cut_off_is_refused(data: bytes) -> None:
    assert_refused(data)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_is_more_than_a_refusal(data: st.DataObject) -> None:
    damaged = bytearray(SOUND.graph)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        length = data.draw(st.integers(0, 3))
        damaged[place : place + length] = data.draw(st.binary(max_size=4))
    try:
        check_graph(bytes(damaged))
    except BundleCorrupt:
        return
