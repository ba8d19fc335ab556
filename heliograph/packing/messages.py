"""Real vectors that a foreign policy sends, as ids of a latent: each number by the cell of a range in which it lies.

Axis legend: N agents, K numbers of a message, which are as many categoricals, C cells, which are its classes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from heliograph.action_rows import ActionRows
from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import BundleMismatch
from heliograph.packing.foreign_graph import Shape, sizes
from heliograph.packing.naming import MessageNames
from heliograph.packing.nodes import Nodes


def message_format(
    message: MessageNames, shapes: dict[str, Shape], spec: EnvironmentSpec, *, origin: str = "the graph"
) -> MessageFormat:
    """The latents of a team.  Raises BundleMismatch where the inbox does not have a row of numbers for each agent."""
    numbers = math.prod(shapes[message.inbox])
    if not numbers or numbers % spec.agents or numbers // spec.agents > 4096:
        raise BundleMismatch(
            f"input {message.inbox!r} of {origin} has shape {list(shapes[message.inbox])}, which is no row of 1 to "
            f"4096 numbers for each of {spec.agents} agents",
            remedy="It takes the messages of all slots, in their order, zeros where none has come",
        )
    if message.present is not None and math.prod(shapes[message.present]) != spec.agents:
        raise BundleMismatch(
            f"input {message.present!r} of {origin} has shape {list(shapes[message.present])}, and there are "
            f"{spec.agents} agents"
        )
    return MessageFormat(categoricals=numbers // spec.agents, classes=message.levels)


def action_rows(spec: EnvironmentSpec) -> ActionRows:
    """What messages tell of actions; no foreign policy reads it."""
    return ActionRows(tuple(spec.action_space(slot) for slot in range(spec.agents)))


# Seven parameters: where to, what is named how, of what sizes and types it is, and whose it is.
def receive(
    nodes: Nodes,
    message: MessageNames,
    inputs: dict[str, onnx.TypeProto.Tensor],
    shapes: dict[str, Shape],
    *,
    agents: int,
    slot: int,
    prefix: str,
) -> None:
    """Make the foreign graph's inputs of what has come: the middles of cells, zeros where nothing counts."""
    cell = message.values.cell(message.levels)
    real = nodes.add("Cast", "inbox_latent", to=TensorProto.FLOAT)
    values = nodes.add(
        "Add", nodes.add("Mul", real, nodes.real(cell)), nodes.real(message.values.low + cell / 2)
    )  # [N, K]
    counts = nodes.add("And", "inbox_present", nodes.add("Not", "first"))
    if not message.own:
        counts = nodes.add("And", counts, nodes.constant(np.arange(agents) != slot, np.bool_))
    rows = nodes.add("Where", nodes.reshaped(counts, (agents, 1)), values, nodes.real(0))
    nodes.reshaped(rows, shapes[message.inbox], output=f"{prefix}{message.inbox}")
    if message.present is not None:
        known = nodes.reshaped(counts, shapes[message.present])
        nodes.add("Cast", known, to=inputs[message.present].elem_type, output=f"{prefix}{message.present}")


def send(nodes: Nodes, message: MessageNames, form: MessageFormat, *, prefix: str) -> None:
    """Make `latent` [K] of the vector that the foreign graph puts out."""
    flat = nodes.reshaped(f"{prefix}{message.output}", (form.categoricals,))
    above = nodes.add("Sub", flat, nodes.real(message.values.low))
    cells = nodes.add("Floor", nodes.add("Div", above, nodes.real(message.values.cell(form.classes))))
    within = nodes.add("Clip", cells, nodes.real(0), nodes.real(form.classes - 1))
    nodes.add("Cast", within, to=TensorProto.INT32, output="latent")


def random_inbox(
    form: MessageFormat, spec: EnvironmentSpec, *, slot: int, random: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """Inputs of a step function, of which every other message has not come."""
    rows = action_rows(spec)
    present = random.random(spec.agents) < 0.5
    present[slot] = True
    return {
        "inbox_latent": random.integers(form.classes, size=(spec.agents, form.categoricals)).astype(np.int32),
        "inbox_action": np.zeros((spec.agents, *rows.shape), rows.inbox_dtype),
        "inbox_present": present,
    }


def foreign_inbox(
    message: MessageNames, foreign: onnx.ModelProto, inputs: dict[str, npt.NDArray[Any]], *, slot: int
) -> dict[str, npt.NDArray[Any]]:
    """What the foreign graph gets of these, in plain numpy."""
    values = {value.name: value for value in foreign.graph.input}
    counts = inputs["inbox_present"] & ~inputs["first"]
    if not message.own:
        counts = counts & (np.arange(len(counts)) != slot)
    cell = message.values.cell(message.levels)
    # In single precision, as the graph has it: what large weights make of the last digit would count as a difference.
    vectors = inputs["inbox_latent"].astype(np.float32) * np.float32(cell) + np.float32(message.values.low + cell / 2)
    rows = np.where(counts[:, None], vectors, np.float32(0))
    told = {message.inbox: rows.reshape(sizes(values[message.inbox]))}
    if message.present is not None:
        kind = helper.tensor_dtype_to_np_dtype(values[message.present].type.tensor_type.elem_type)
        told[message.present] = counts.astype(kind).reshape(sizes(values[message.present]))
    return told


def out_of_cell(message: MessageNames, latent: npt.NDArray[Any], sent: npt.NDArray[Any]) -> float:
    """By how much the numbers that a policy sends lie outside of the cells that were chosen for them, of their size."""
    cell = message.values.cell(message.levels)
    middles = message.values.low + (latent + 0.5) * cell
    wanted = np.clip(sent.reshape(-1).astype(np.float64), message.values.low, message.values.high)
    size = max(1.0, abs(message.values.low), abs(message.values.high))
    return float(np.maximum(np.abs(wanted - middles) - cell / 2, 0).max()) / size
