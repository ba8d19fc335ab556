"""From what a foreign policy puts out to an action, in ONNX: mask, sampling by the noise that comes in, and the greedy.

The same arithmetic as that of the trainer's own exports (`trainer.policy.distributions`).

Axis legend: A entries of an action mask; k dimensions of a continuous action.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.packing.naming import TensorNames
from heliograph.packing.nodes import Nodes

ILLEGAL_LOGIT = -1e10
"""Has probability 0 in float32."""


def noise_size(actions: DiscreteActions | ContinuousActions) -> int:
    """Uniform numbers for one action: one for a choice, two for each dimension of a vector."""
    return 1 if isinstance(actions, DiscreteActions) else 2 * actions.size


def choose(nodes: Nodes, logits: str, actions: DiscreteActions) -> None:
    """Make `logits` [A] and `action` [] of the policy's logits, by inverting the cumulative distribution."""
    flat = nodes.reshaped(logits, (actions.count,))
    masked = nodes.add("Where", "action_mask", flat, nodes.real(ILLEGAL_LOGIT), output="logits")
    cumulative = nodes.add("CumSum", nodes.add("Softmax", masked, axis=-1), nodes.constant(0, np.int64))  # [A]
    whole = nodes.add("Slice", cumulative, nodes.constant([-1], np.int64), nodes.constant([actions.count], np.int64))
    # Measured against the last sum, which rounding can leave off 1, no number reaches past the last legal action.
    below = nodes.add("LessOrEqual", cumulative, nodes.add("Mul", "noise", whole))
    drawn = nodes.add("ReduceSum", nodes.add("Cast", below, to=TensorProto.INT64), keepdims=0)
    best = nodes.add("ArgMax", masked, axis=0, keepdims=0)
    nodes.add("Cast", nodes.add("Where", "greedy", best, drawn), to=TensorProto.INT32, output="action")


# Six parameters: what the policy puts out and how much of it, what that means, and where it goes.
def steer(
    nodes: Nodes, mean: str, deviation: str | None, actions: ContinuousActions, names: TensorNames, *, given: int
) -> None:
    """Make `logits` [2k] (means, then deviations as the policy has them) and `action` [k] on the grid.

    The policy puts out `given` numbers each: those of its agent alone, where others of the team have more.
    """
    size = actions.size
    zeros = nodes.real(np.zeros(size))
    middle = nodes.add("Where", "action_mask", _lengthened(nodes, mean, given, size), zeros)
    raw = zeros if deviation is None else _lengthened(nodes, deviation, given, size)
    nodes.add("Concat", middle, nodes.add("Where", "action_mask", raw, zeros), axis=0, output="logits")
    spread = nodes.add("Exp", raw) if deviation is not None and names.deviation_is == "log" else raw
    moved = nodes.add("Add", middle, nodes.add("Mul", spread, _normal(nodes, size)))
    drawn = nodes.add("Where", "greedy", middle, moved)
    if names.squash == "tanh":
        units = nodes.add("Tanh", drawn)
    else:
        low, high = np.array(actions.low), np.array(actions.high)
        scale = 2 / np.where(high > low, high - low, 1.0)
        units = nodes.add("Sub", nodes.add("Mul", drawn, nodes.real(scale)), nodes.real(low * scale + 1))
    cells = nodes.add("Floor", nodes.add("Mul", nodes.add("Add", units, nodes.real(1)), nodes.real(actions.levels / 2)))
    cells = nodes.add("Clip", cells, nodes.real(0), nodes.real(actions.levels - 1))
    doubled = nodes.add("Add", nodes.add("Mul", cells, nodes.real(2)), nodes.real(1 - actions.levels))
    values = nodes.add("Div", doubled, nodes.real(actions.levels))
    nodes.add("Where", "action_mask", values, zeros, output="action")


def _lengthened(nodes: Nodes, vector: str, given: int, size: int) -> str:
    """[size] of so many numbers; zeros stand for the others."""
    own = nodes.reshaped(vector, (given,))
    return own if given == size else nodes.add("Concat", own, nodes.real(np.zeros(size - given)), axis=0)


def _normal(nodes: Nodes, size: int) -> str:
    """[k] of Box and Muller, whose functions are ONNX operators; the inverse of the normal's CDF is none."""
    parts = [nodes.constant([place], np.int64) for place in (0, size, 2 * size)]
    radius = nodes.add("Slice", "noise", parts[0], parts[1])
    angle = nodes.add("Slice", "noise", parts[1], parts[2])
    length = nodes.add("Sqrt", nodes.add("Mul", nodes.add("Log", radius), nodes.real(-2)))
    return nodes.add("Mul", length, nodes.add("Cos", nodes.add("Mul", angle, nodes.real(2 * math.pi))))
