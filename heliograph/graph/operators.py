"""What shapes come out of each operator that a step function may use; whatever is not here is refused.

Every size must follow from the file alone: where an operator is told a shape, a number of copies or a place to cut, it
must be told by a constant of the file.  Besides what today's algorithms export, it knows plain tensor operators that
transformers and vector quantisation need.  Not here, and why: `Loop`, `If`, `Scan` and functions may run without end;
`NonZero`, `Compress` and their like have sizes that follow from data; random operators would make noise of their own,
which has to come from outside; transposed convolutions are nothing that is exported yet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from heliograph.graph.call import Call, broadcast, places, size_of
from heliograph.graph.convolution import convolved
from heliograph.graph.reading import DTYPES, Constant, Refused, Shape
from heliograph.graph.recurrent import GATES, recurrent, recurrent_work

Rule = Callable[[Call], list[Shape]]


def _as_first(call: Call) -> list[Shape]:
    return [call.shape()]


def _cast(call: Call) -> list[Shape]:
    if call.attribute("to", None) not in DTYPES:
        raise Refused(f"it makes data of type {call.attribute('to', None)}")
    return [call.shape()]


def _broadcast(call: Call) -> list[Shape]:
    return [broadcast(*(call.shape(index) for index in range(call.arity)))]


def _normalised(call: Call) -> list[Shape]:
    shape, axis = call.shape(), call.axis(-1)
    statistics = shape[:axis] + (1,) * (len(shape) - axis)
    return [shape, statistics, statistics]


def _reduced(call: Call) -> list[Shape]:
    shape = call.shape()
    given = call.integers(1) if call.given(1) else ()
    if not given and call.attribute("noop_with_empty_axes", 0):
        return [shape]
    axes = places(given, len(shape)) if given else range(len(shape))
    kept = bool(call.attribute("keepdims", 1))
    return [tuple(1 if axis in axes else size for axis, size in enumerate(shape) if kept or axis not in axes)]


def _arg(call: Call) -> list[Shape]:
    shape, axis = call.shape(), call.axis(0)
    return [shape[:axis] + ((1,) if call.attribute("keepdims", 1) else ()) + shape[axis + 1 :]]


def _top(call: Call) -> list[Shape]:
    shape, axis, kept = call.shape(), call.axis(-1), call.integer(1)
    if not 0 <= kept <= shape[axis]:
        raise Refused(f"it takes {kept} of {shape[axis]}")
    return [(*shape[:axis], kept, *shape[axis + 1 :])] * 2


def _matrix_product(call: Call) -> list[Shape]:
    one, other = call.shape(0), call.shape(1)
    if not one or not other:
        raise Refused("it multiplies a single number as a matrix")
    left, right = (1, *one) if len(one) == 1 else one, (*other, 1) if len(other) == 1 else other
    if left[-1] != right[-2]:
        raise Refused(f"matrices of shapes {list(one)} and {list(other)} do not fit")
    rows, columns = (left[-2],) if len(one) > 1 else (), (right[-1],) if len(other) > 1 else ()
    return [broadcast(left[:-2], right[:-2]) + rows + columns]


def _general_product(call: Call) -> list[Shape]:
    one, other = call.shape(0), call.shape(1)
    if len(one) != 2 or len(other) != 2:
        raise Refused(f"{list(one)} and {list(other)} are no matrices")
    left = one[::-1] if call.attribute("transA", 0) else one
    right = other[::-1] if call.attribute("transB", 0) else other
    if left[1] != right[0]:
        raise Refused(f"matrices of shapes {list(left)} and {list(right)} do not fit")
    return [(left[0], right[1])]


def _einsum(call: Call) -> list[Shape]:
    sizes, result = _letters(call)
    return [tuple(sizes[letter] for letter in result)]


def _letters(call: Call) -> tuple[dict[str, int], str]:
    """The size of every letter of an equation, and the letters of the result."""
    text = call.attribute("equation", b"").decode("ascii", "replace").replace(" ", "")
    if call.arity > 2 or not re.fullmatch(r"[a-zA-Z]*(,[a-zA-Z]*)?->[a-zA-Z]*", text):
        raise Refused(f"its equation is {text!r}, not one of at most two terms in letters, with an arrow")
    given, _, result = text.partition("->")
    terms = given.split(",")
    shapes = [call.shape(index) for index in range(call.arity)]
    if [len(term) for term in terms] != [len(shape) for shape in shapes]:
        raise Refused(f"its equation {text!r} does not fit {', '.join(map(str, map(list, shapes)))}")
    sizes: dict[str, int] = {}
    for letter, size in zip("".join(terms), sum(shapes, ()), strict=True):
        if sizes.setdefault(letter, size) != size:
            raise Refused(f"its equation {text!r} has two sizes for {letter}")
    if not set(result) <= sizes.keys() or len(set(result)) < len(result):
        raise Refused(f"its equation {text!r} has an impossible result")
    return sizes, result


def _transpose(call: Call) -> list[Shape]:
    shape = call.shape()
    order = places(call.attribute("perm", tuple(reversed(range(len(shape))))), len(shape))
    if len(order) != len(shape):
        raise Refused(f"its order {order} is not of {len(shape)} dimensions")
    return [tuple(shape[axis] for axis in order)]


def _reshape(call: Call) -> list[Shape]:
    shape, wanted = call.shape(), list(call.integers(1))
    if not call.attribute("allowzero", 0):
        wanted = [shape[axis] if size == 0 and axis < len(shape) else size for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = -math.prod(wanted)
        wanted[wanted.index(-1)] = math.prod(shape) // rest if rest else -1
    if any(size < 0 for size in wanted) or math.prod(wanted) != math.prod(shape):
        raise Refused(f"{list(shape)} cannot be given the shape {list(call.integers(1))}")
    return [tuple(wanted)]


def _flatten(call: Call) -> list[Shape]:
    shape, axis = call.shape(), call.attribute("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise Refused(f"it has no axis {axis} among {len(shape)}")
    return [(math.prod(shape[:axis]), math.prod(shape[axis:]))]


def _squeeze(call: Call) -> list[Shape]:
    shape = call.shape()
    ones = [axis for axis, size in enumerate(shape) if size == 1]
    axes = places(call.integers(1), len(shape)) if call.given(1) else ones
    if not set(axes) <= set(ones):
        raise Refused(f"dimensions {axes} of {list(shape)} are not all of size 1")
    return [tuple(size for axis, size in enumerate(shape) if axis not in axes)]


def _unsqueeze(call: Call) -> list[Shape]:
    sizes, added = iter(call.shape()), call.integers(1)
    rank = len(call.shape()) + len(added)
    axes = places(added, rank)
    return [tuple(1 if axis in axes else next(sizes) for axis in range(rank))]


def _expand(call: Call) -> list[Shape]:
    return [broadcast(call.shape(), _sizes(call.integers(1)))]


def _tile(call: Call) -> list[Shape]:
    shape, copies = call.shape(), _sizes(call.integers(1))
    if len(copies) != len(shape):
        raise Refused(f"it repeats {list(shape)} {list(copies)} times")
    return [tuple(size * times for size, times in zip(shape, copies, strict=True))]


def _pad(call: Call) -> list[Shape]:
    shape, widths = list(call.shape()), call.integers(1)
    axes = places(call.integers(3), len(shape)) if call.given(3) else list(range(len(shape)))
    if len(widths) != 2 * len(axes):
        raise Refused(f"it pads {list(shape)} by {list(widths)}")
    for axis, before, after in zip(axes, widths[: len(axes)], widths[len(axes) :], strict=True):
        shape[axis] += before + after
    return [_sizes(shape)]


def _concatenated(call: Call) -> list[Shape]:
    shape, axis = list(call.shape()), call.axis()
    for index in range(1, call.arity):
        other = call.shape(index)
        if len(other) != len(shape) or any(size != shape[at] for at, size in enumerate(other) if at != axis):
            raise Refused(f"{list(other)} cannot be joined to {shape} along axis {axis}")
        shape[axis] += other[axis]
    return [tuple(shape)]


def _split(call: Call) -> list[Shape]:
    shape, axis, parts = call.shape(), call.axis(0), len(call.node.outputs)
    if call.given(1):
        sizes = _sizes(call.integers(1))
    else:
        largest = -(-shape[axis] // parts)
        sizes = tuple(min(largest, shape[axis] - largest * part) for part in range(parts))
    if not len(sizes) == call.attribute("num_outputs", parts) == parts or sum(sizes) != shape[axis]:
        raise Refused(f"{shape[axis]} cannot be split into {list(sizes)} for {parts} outputs")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in _sizes(sizes)]


def _slice(call: Call) -> list[Shape]:
    shape = list(call.shape())
    starts, ends = call.integers(1), call.integers(2)
    axes = places(call.integers(3), len(shape)) if call.given(3) else list(range(len(starts)))
    steps = call.integers(4) if call.given(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) <= len(shape) or 0 in steps:
        raise Refused(f"{shape} cannot be cut from {list(starts)} to {list(ends)} by {list(steps)}")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        shape[axis] = _cut(shape[axis], start, end, step)
    return [tuple(shape)]


def _cut(size: int, start: int, end: int, step: int) -> int:
    """How many of `size` are left; unlike Python's, a cut backwards from before the first one has the first one."""
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    last = size if step > 0 else size - 1
    start, end = min(max(start, 0), last), min(max(end, 0 if step > 0 else -1), last)
    return max(0, -((start - end) // step))


def _gather(call: Call) -> list[Shape]:
    shape, axis = call.shape(), call.axis(0)
    return [shape[:axis] + call.shape(1) + shape[axis + 1 :]]


def _as_indices(call: Call) -> list[Shape]:
    return [call.shape(1)]


def _gather_nd(call: Call) -> list[Shape]:
    shape, indices, shared = call.shape(0), call.shape(1), call.attribute("batch_dims", 0)
    if not indices or not 0 <= shared < len(indices) or shared + indices[-1] > len(shape):
        raise Refused(f"indices of shape {list(indices)} do not fit {list(shape)}")
    return [indices[:-1] + shape[shared + indices[-1] :]]


def _one_hot(call: Call) -> list[Shape]:
    shape, classes = call.shape(), call.integer(1)
    axis = call.axis(-1, rank=len(shape) + 1)
    return [_sizes((*shape[:axis], classes, *shape[axis:]))]


def _range(call: Call) -> list[Shape]:
    start, end, step = (call.integer(index) for index in range(3))
    if not step:
        raise Refused("it counts in steps of 0")
    return [(max(0, -(-(end - start) // step)),)]


def _constant(call: Call) -> list[Shape]:
    (kind, value), *others = call.node.attributes.items()
    if others or kind not in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        raise Refused(f"its value is {', '.join(call.node.attributes)}")
    if isinstance(value, Constant):
        return [value.shape]
    return [(len(value),) if isinstance(value, tuple) else ()]


def _constant_of_shape(call: Call) -> list[Shape]:
    return [_sizes(call.integers(0))]


def _shape(call: Call) -> list[Shape]:
    rank = len(call.shape())
    return [(len(range(*slice(call.attribute("start", 0), call.attribute("end", rank)).indices(rank))),)]


def _sizes(values: Sequence[int]) -> Shape:
    if any(size < 0 for size in values):
        raise Refused(f"a size is below 0: {list(values)}")
    return tuple(values)


_RULES: dict[str, tuple[Rule, str]] = {
    "as the first input": (
        _as_first,
        "Abs Ceil Clip Cos CumSum Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log "
        "LogSoftmax Mish Neg Not Reciprocal Relu Round ScatterElements ScatterND Selu Sigmoid Sign Sin Softmax "
        "Softplus Softsign Sqrt Tanh Trilu",
    ),
    "broadcast": (
        _broadcast,
        "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or Pow Sub Sum Where Xor",
    ),
    "reduced": (
        _reduced,
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare",
    ),
    "normalised": (_normalised, "LayerNormalization RMSNormalization"),
    "of the largest": (_arg, "ArgMax ArgMin"),
}
_OWN_RULES: dict[str, Rule] = {
    "Cast": _cast,
    "Concat": _concatenated,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Conv": convolved,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _as_indices,
    "GatherND": _gather_nd,
    "Gemm": _general_product,
    "GRU": recurrent,
    "LSTM": recurrent,
    "MatMul": _matrix_product,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "TopK": _top,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
OPERATORS: dict[str, Rule] = _OWN_RULES | {name: rule for rule, names in _RULES.values() for name in names.split()}
"""Every operator that is let through, and what comes out of it."""


def multiplications(call: Call, output: Shape) -> int:
    """How many a matrix product or a convolution takes; 0 for other operators."""
    if call.node.operator == "Conv":
        return size_of(output) * size_of(call.shape(1)[1:])
    if call.node.operator == "MatMul":
        return size_of(output) * call.shape(0)[-1]
    if call.node.operator == "Gemm":
        return size_of(output) * call.shape(0)[0 if call.attribute("transA", 0) else 1]
    if call.node.operator in GATES:
        return recurrent_work(call)
    if call.node.operator == "Einsum":
        return math.prod(_letters(call)[0].values())
    return 0
