"""The shape and the work of `Conv`, and what a runtime lays out for it on the way."""

from __future__ import annotations

import math

from heliograph.graph.call import Call
from heliograph.graph.reading import Refused, Shape

MAX_UNFOLDED = 2**23
"""Numbers of all windows that a convolution looks through, one after another: a runtime may write them out."""


def convolved(call: Call) -> list[Shape]:
    """[M, C, *sides] with weights [O, C / groups, *kernel] to [M, O, *sides']."""
    given, weights = call.shape(0), call.shape(1)
    sides, kernel = given[2:], weights[2:]
    groups = call.attribute("group", 1)
    if not sides or len(sides) != len(kernel) or 0 in given + weights:
        raise Refused(f"weights of shape {list(weights)} do not fit {list(given)}")
    if groups < 1 or given[1] != weights[1] * groups or weights[0] % groups:
        raise Refused(f"{given[1]} channels in {groups} groups do not fit weights of shape {list(weights)}")
    if call.given(2) and call.shape(2) != weights[:1]:
        raise Refused(f"a bias of shape {list(call.shape(2))} does not fit {weights[0]} channels")
    if call.attribute("auto_pad", b"NOTSET") != b"NOTSET" or call.attribute("kernel_shape", kernel) != kernel:
        raise Refused("its padding or the shape of its kernel is not what its inputs say")
    strides, apart = (call.attribute(name, (1,) * len(sides)) for name in ("strides", "dilations"))
    pads = call.attribute("pads", (0, 0) * len(sides))
    if (len(strides), len(apart), len(pads)) != (len(sides), len(sides), 2 * len(sides)):
        raise Refused(f"its strides, dilations and pads are not those of {len(sides)} sides")
    made = tuple(
        _moved(*each)
        for each in zip(sides, kernel, strides, apart, pads[: len(sides)], pads[len(sides) :], strict=True)
    )
    unfolded = given[0] * given[1] * math.prod(kernel) * math.prod(made)
    if unfolded > MAX_UNFOLDED:
        raise Refused(f"it looks through windows of {unfolded} numbers in all; at most {MAX_UNFOLDED} are allowed")
    return [(given[0], weights[0], *made)]


def _moved(side: int, kernel: int, stride: int, apart: int, before: int, after: int) -> int:
    """How often a kernel fits along a side."""
    if stride < 1 or apart < 1:
        raise Refused(f"it moves by {stride}, its kernel by {apart}")
    reach = apart * (kernel - 1) + 1
    if not 0 <= before < reach or not 0 <= after < reach or side + before + after < reach:
        raise Refused(f"a kernel that reaches over {reach} does not fit {side}, padded by {before} and {after}")
    return (side + before + after - reach) // stride + 1
