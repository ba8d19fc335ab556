"""What is said of an operator's outputs before a graph is loaded is what the runtime then makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_graph import TYPES, model, node

from heliograph.graph import operators
from heliograph.graph.judgement import shapes_of
from heliograph.graph.reading import Refused, read_graph

Example = tuple[onnx.NodeProto, dict[str, tuple[int, ...]], dict[str, Any], str]


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def example(made: onnx.NodeProto, kind: str = "f", /, **given: Any) -> Example:
    """Inputs are tuples (their shapes), constants are arrays."""
    inputs = {name: value for name, value in given.items() if isinstance(value, tuple)}
    return made, inputs, {name: value for name, value in given.items() if name not in inputs}, kind


AS_FIRST = "Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log LogSoftmax Mish Neg"
AS_FIRST += " Reciprocal Relu Round Selu Sigmoid Sign Sin Softmax Softplus Softsign Sqrt Tanh Trilu"
BINARY = "Add Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mul Pow Sub Sum"
REDUCED = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
EXAMPLES = [
    *(example(node(name, "x"), x=(2, 3)) for name in AS_FIRST.split()),
    example(node("Gelu", "x"), x=(2, 3)),
    example(node("Not", "x"), "b", x=(2, 3)),
    example(node("Clip", "x", "", "top"), x=(2, 3), top=np.float32(1)),
    example(node("CumSum", "x", "axis"), x=(2, 3), axis=np.array(1)),
    example(node("ScatterElements", "x", "at", "y", axis=1), x=(2, 3), at=np.array([[0, 1]]), y=(1, 2)),
    example(node("ScatterND", "x", "at", "y"), x=(4, 3), at=np.array([[0], [2]]), y=(2, 3)),
    *(example(node(name, "x", "y"), x=(4, 1, 3), y=(2, 1)) for name in BINARY.split()),
    *(example(node(name, "x", "y"), "b", x=(4, 1), y=(2,)) for name in ("And", "Or", "Xor")),
    example(node("Mod", "x", "y"), "i", x=(4, 1), y=(2,)),
    example(node("Max", "x"), x=(4, 1)),
    example(node("Where", "where", "x", "y"), where=np.array([[True], [False]]), x=(2, 3), y=()),
    *(example(node(f"Reduce{name}", "x", "axes", keepdims=0), x=(2, 3, 4), axes=ints(-1)) for name in REDUCED.split()),
    example(node("ReduceSum", "x", "axes"), x=(2, 3, 4), axes=ints(0, 2)),
    example(node("ReduceSum", "x", keepdims=0), x=(2, 3, 4)),
    example(node("ReduceSum", "x", "axes"), x=(2, 3, 4), axes=ints()),
    example(node("ReduceSum", "x", noop_with_empty_axes=1), x=(2, 3, 4)),
    *(example(node(name, "x", axis=1, keepdims=kept), x=(2, 3)) for name in ("ArgMax", "ArgMin") for kept in (0, 1)),
    example(
        node("LayerNormalization", "x", "scale", axis=1, outputs=3), x=(2, 3, 4), scale=np.ones((3, 4), np.float32)
    ),
    example(node("RMSNormalization", "x", "scale"), x=(2, 3), scale=np.ones(3, np.float32)),
    example(node("TopK", "x", "k", outputs=2), x=(2, 5), k=ints(3)),
    example(node("MatMul", "x", "y"), x=(2, 3), y=(3, 4)),
    example(node("MatMul", "x", "y"), x=(5, 1, 2, 3), y=(7, 3, 4)),
    example(node("MatMul", "x", "y"), x=(3,), y=(7, 3, 4)),
    example(node("MatMul", "x", "y"), x=(7, 2, 3), y=(3,)),
    example(node("MatMul", "x", "y"), x=(3,), y=(3,)),
    example(node("Gemm", "x", "y"), x=(2, 3), y=(3, 4)),
    example(node("Gemm", "x", "y", transA=1, transB=1), x=(3, 2), y=(4, 3)),
    example(node("GRU", "x", "w", "r", outputs=2, hidden_size=5), x=(7, 2, 3), w=(1, 15, 3), r=(1, 15, 5)),
    example(
        node("GRU", "x", "w", "r", "b", "", "h", outputs=2, hidden_size=4, direction="bidirectional"),
        **{"x": (7, 2, 3), "w": (2, 12, 3), "r": (2, 12, 4), "b": (2, 24), "h": (2, 2, 4)},
    ),
    example(
        node("LSTM", "x", "w", "r", "b", "", "h", "c", outputs=3, hidden_size=5),
        **{"x": (1, 2, 3), "w": (1, 20, 3), "r": (1, 20, 5), "b": (1, 40), "h": (1, 2, 5), "c": (1, 2, 5)},
    ),
    example(node("Einsum", "x", "y", equation="bij, bkj -> bik"), x=(5, 2, 3), y=(5, 4, 3)),
    example(node("Einsum", "x", equation="ij->j"), x=(2, 3)),
    example(node("Conv", "x", "w", "b"), x=(1, 3, 8, 9), w=(5, 3, 3, 3), b=(5,)),
    example(node("Conv", "x", "w", strides=[2, 3], pads=[1, 0, 2, 1]), x=(2, 3, 8, 9), w=(5, 3, 3, 2)),
    example(node("Conv", "x", "w", dilations=[3], group=2, kernel_shape=[2]), x=(1, 4, 7), w=(6, 2, 2)),
    example(node("Transpose", "x"), x=(2, 3, 4)),
    example(node("Transpose", "x", perm=[1, 2, 0]), x=(2, 3, 4)),
    example(node("Reshape", "x", "to"), x=(2, 3, 4), to=ints(0, -1)),
    example(node("Reshape", "x", "to"), x=(1, 1), to=ints()),
    example(node("Reshape", "x", "to", allowzero=1), x=(2, 0), to=ints(0, 5)),
    example(node("Flatten", "x"), x=(2, 3, 4)),
    example(node("Flatten", "x", axis=-1), x=(2, 3, 4)),
    example(node("Squeeze", "x"), x=(1, 3, 1)),
    example(node("Squeeze", "x", "axes"), x=(1, 3, 1), axes=ints(-1)),
    example(node("Unsqueeze", "x", "axes"), x=(3, 4), axes=ints(0, -1)),
    example(node("Expand", "x", "to"), x=(3, 1), to=ints(2, 1, 4)),
    example(node("Tile", "x", "times"), x=(3, 1), times=ints(2, 0)),
    example(node("Pad", "x", "by"), x=(3, 4), by=ints(1, 0, 2, -1)),
    example(node("Pad", "x", "by", "", "axes"), x=(3, 4), by=ints(1, 2), axes=ints(-1)),
    example(node("Concat", "x", "y", "x", axis=-1), x=(3, 4), y=(3, 1)),
    example(node("Split", "x", "sizes", axis=1, outputs=2), x=(2, 5), sizes=ints(4, 1)),
    example(node("Split", "x", axis=1, outputs=3, num_outputs=3), x=(2, 5)),
    example(node("Gather", "x", "at", axis=1), x=(2, 3, 4), at=np.array([[0, 1], [2, 0]])),
    example(node("Gather", "x", "at"), x=(2, 3), at=np.array(1)),
    example(node("GatherElements", "x", "at", axis=1), x=(2, 3), at=np.array([[0, 1, 2, 0], [0, 0, 0, 0]])),
    example(node("GatherND", "x", "at"), x=(2, 3, 4), at=np.array([[0, 1], [1, 2], [1, 1]])),
    example(node("GatherND", "x", "at", batch_dims=1), x=(2, 3, 4), at=np.array([[1], [2]])),
    example(node("OneHot", "at", "classes", "values", axis=0), at=np.array([0, 2]), classes=ints(5), values=ints(0, 1)),
    example(node("Range", "a", "b", "c"), a=np.array(7), b=np.array(-1), c=np.array(-3)),
    example(node("Range", "a", "b", "c"), a=np.array(7), b=np.array(1), c=np.array(3)),
    example(node("Constant", value_floats=[1.0, 2.0])),
    example(node("Constant", value_int=7)),
    example(node("ConstantOfShape", "to"), to=ints(2, 3)),
    example(node("ConstantOfShape", "to"), to=ints()),
    example(node("Shape", "x", start=1), x=(2, 3, 4)),
    example(node("Slice", "x", "start", "end"), x=(5, 6), start=ints(1, -2), end=ints(-1, 100)),
    example(node("Cast", "x", to=TYPES["i"]), x=(2, 3)),
]
OPSETS = {"Gelu": 20, "RMSNormalization": 23}


def assert_as_the_runtime(made: onnx.NodeProto, inputs: dict, constants: dict, kind: str) -> None:
    outputs = tuple(made.output)
    opset = OPSETS.get(made.op_type, 18)
    data = model(
        [made], inputs=inputs, constants=constants, outputs=outputs, kind=kind, opset=opset
    ).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])
    dtype = {"f": np.float32, "i": np.int64, "b": np.bool_}[kind]
    made_of_it = session.run(None, {name: np.ones(shape, dtype) for name, shape in inputs.items()})
    said = shapes_of(read_graph(data))
    assert [said[name] for name in outputs] == [value.shape for value in made_of_it]


@pytest.mark.parametrize("each", EXAMPLES, ids=lambda each: each[0].op_type)
def test_an_operator_makes_what_is_said_of_it(each: Example) -> None:
    assert_as_the_runtime(*each)


def test_every_operator_is_tried() -> None:
    assert {each[0].op_type for each in EXAMPLES} == operators.OPERATORS.keys()


@pytest.mark.slow
@pytest.mark.arrays
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 4), st.integers(-7, 7), st.integers(-7, 7), st.sampled_from([-3, -2, -1, 1, 2, 3]))
def test_a_cut_leaves_what_is_said_of_it(size: int, start: int, end: int, step: int) -> None:
    cut = node("Slice", "x", "start", "end", "axes", "step")
    constants = {"start": ints(start), "end": ints(end), "axes": ints(0), "step": ints(step)}
    assert_as_the_runtime(cut, {"x": (size,)}, constants, "f")


@pytest.mark.slow
@pytest.mark.arrays
@settings(max_examples=100, deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-4, 4).filter(bool))
def test_counting_makes_what_is_said_of_it(start: int, end: int, step: int) -> None:
    constants = {"a": np.array(start), "b": np.array(end), "c": np.array(step)}
    assert_as_the_runtime(node("Range", "a", "b", "c"), {}, constants, "f")


@pytest.mark.slow
@pytest.mark.arrays
@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_convolution_makes_what_is_said_of_it(
    side: int, kernel: int, stride: int, apart: int, before: int, after: int
) -> None:
    reach = apart * (kernel - 1) + 1
    assume(max(before, after) < reach <= side + before + after)
    made = node("Conv", "x", "w", strides=[stride], dilations=[apart], pads=[before, after])
    assert_as_the_runtime(made, {"x": (1, 2, side), "w": (3, 2, kernel)}, {}, "f")


@pytest.mark.parametrize(
    ("weights", "attributes", "complaint"),
    [
        ((5, 2, 3, 3), {}, "3 channels in 1 groups do not fit"),
        ((5, 3, 3), {}, "do not fit"),
        ((5, 3, 9, 9), {}, "a kernel that reaches over 9 does not fit 8"),
        ((5, 3, 3, 3), {"pads": [3, 0, 0, 0]}, "padded by 3 and 0"),
        ((5, 3, 3, 3), {"pads": [1]}, "not those of 2 sides"),
        ((5, 3, 3, 3), {"strides": [0, 1]}, "it moves by 0"),
        ((5, 3, 3, 3), {"auto_pad": "SAME_UPPER"}, "its padding"),
        ((5, 3, 3, 3), {"kernel_shape": [2, 2]}, "the shape of its kernel"),
    ],
)
def test_a_convolution_that_does_not_fit_is_refused(weights: tuple, attributes: dict, complaint: str) -> None:
    made = model([node("Conv", "x", "w", **attributes)], inputs={"x": (1, 3, 8, 8), "w": weights})
    with pytest.raises(Refused, match=complaint):
        shapes_of(read_graph(made.SerializeToString()))


@pytest.mark.parametrize(
    ("side", "channels", "complaint"), [(300, 16, "it looks through windows of"), (72, 2048, "multiplications")]
)
def test_a_convolution_counts_for_its_windows_and_its_work(side: int, channels: int, complaint: str) -> None:
    inputs = {"x": (1, 8, side, side), "w": (channels, 8, 9, 9)}
    made = model([node("Conv", "x", "w")], inputs=inputs)
    with pytest.raises(Refused, match=complaint):
        shapes_of(read_graph(made.SerializeToString()))
