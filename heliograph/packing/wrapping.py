"""Wraps a foreign graph into a step function of one slot (`docs/bundle.md` has the tensors).

Axis legend: N agents, D observation size, A entries of an action mask.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from heliograph.actions import ActionSpace, DiscreteActions
from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import BundleMismatch
from heliograph.graph.judgement import MAX_VALUE
from heliograph.manifest import StateTensor
from heliograph.packing.acting import choose, noise_size, steer
from heliograph.packing.foreign_graph import Shape, sizes
from heliograph.packing.messages import action_rows, message_format, receive, send
from heliograph.packing.naming import TensorNames, state_name
from heliograph.packing.nodes import Nodes

PREFIX = "policy/"
"""Before all names of the foreign graph, so that they meet none of ours."""


def check_sizes(model: onnx.ModelProto, names: TensorNames, spec: EnvironmentSpec, *, slot: int, origin: str) -> None:
    """Raise BundleMismatch unless the graph takes and gives what the agent of a slot has and does."""
    inputs = {value.name: value for value in model.graph.input}
    talk = names.message
    for name in (names.observation, *names.state, *(() if talk is None else (talk.inbox,))):
        kind = inputs[name].type.tensor_type.elem_type
        if kind != TensorProto.FLOAT:
            told = TensorProto.DataType.Name(kind).lower() if kind in TensorProto.DataType.values() else f"type {kind}"
            raise BundleMismatch(f"input {name!r} of {origin} is {told}, not float", remedy="Export it in float32")
        shape = sizes(inputs[name])
        if min(shape, default=1) < 1 or math.prod(shape) > MAX_VALUE:
            raise BundleMismatch(
                f"input {name!r} of {origin} has shape {list(shape)}", remedy=f"It may have 1 to {MAX_VALUE} numbers"
            )
    own = spec.observation_size
    wanted = own + (spec.agents if names.append_id else 0)
    found = math.prod(sizes(inputs[names.observation]))
    if found != wanted:
        also = f", {wanted} with the slot appended" if names.append_id else ""
        hint = "--append-id" if found == own + spec.agents and not names.append_id else "another graph or environment"
        raise BundleMismatch(
            f"input {names.observation!r} of {origin} takes {found} numbers, an observation of {spec.id!r} has "
            f"{own}{also}",
            remedy=f"Try {hint}",
        )
    actions = spec.action_space(slot)
    if isinstance(actions, DiscreteActions) != (names.logits is not None):
        raise BundleMismatch(
            f"actions of slot {slot} in {spec.id!r} are {actions.kind}",
            remedy="Name logits for discrete actions, a mean and a deviation for continuous ones",
        )
    if names.mask is not None and math.prod(sizes(inputs[names.mask])) != actions.mask_size:
        raise BundleMismatch(
            f"mask {names.mask!r} of {origin} has shape {list(sizes(inputs[names.mask]))}, slot {slot} has "
            f"{actions.mask_size} actions"
        )
    shapes = _output_shapes(model)
    acting = head_size(model, names, actions)
    expected = {name: acting for name in (names.logits, names.mean, names.deviation) if name is not None}
    expected |= {after: math.prod(sizes(inputs[before])) for before, after in names.state.items()}
    if talk is not None:
        form = message_format(talk, {name: sizes(value) for name, value in inputs.items()}, spec, origin=origin)
        expected[talk.output] = form.categoricals
    for name, size in expected.items():
        told_shape = shapes.get(name)
        if told_shape is not None and math.prod(told_shape) != size:
            raise BundleMismatch(
                f"output {name!r} of {origin} has shape {list(told_shape)}, {size} numbers are expected"
            )


def head_size(model: onnx.ModelProto, names: TensorNames, actions: ActionSpace) -> int:
    """Numbers that the policy puts out for an action: its agent's own, or as many as the team's widest agent has."""
    shape = _output_shapes(model).get(names.mean) if names.mean is not None else None
    if not isinstance(actions, DiscreteActions) and shape is not None and math.prod(shape) == actions.own_size:
        return actions.own_size
    return actions.mask_size


def wrapped(
    model: onnx.ModelProto, names: TensorNames, spec: EnvironmentSpec, *, slot: int
) -> tuple[onnx.ModelProto, tuple[StateTensor, ...]]:
    """The step function of a slot, and its recurrent state; `model` must have passed `check_sizes`."""
    actions = spec.action_space(slot)
    inputs = {value.name: value.type.tensor_type for value in model.graph.input}
    shapes = {value.name: sizes(value) for value in model.graph.input}
    nodes = Nodes()
    _feed(nodes, names, shapes, spec, slot=slot, mask_type=inputs[names.mask].elem_type if names.mask else 0)
    form = None if names.message is None else message_format(names.message, shapes, spec)
    if names.message is not None:
        receive(nodes, names.message, inputs, shapes, agents=spec.agents, slot=slot, prefix=PREFIX)
    fed = len(nodes.nodes)
    if isinstance(actions, DiscreteActions):
        choose(nodes, f"{PREFIX}{names.logits}", actions)
    else:
        deviation = None if names.deviation is None else f"{PREFIX}{names.deviation}"
        given = head_size(model, names, actions)
        steer(nodes, f"{PREFIX}{names.mean}", deviation, actions, names, given=given)
    for state, successor in names.state.items():
        nodes.reshaped(f"{PREFIX}{successor}", shapes[state], output=f"state.{state_name(state)}.next")
    if names.message is not None and form is not None:
        send(nodes, names.message, form, prefix=PREFIX)
    inner = compose.add_prefix(model, PREFIX).graph
    states = tuple(StateTensor(name=state_name(name), shape=shapes[name]) for name in names.state)
    graph = helper.make_graph(
        [*nodes.nodes[:fed], *inner.node, *nodes.nodes[fed:]],
        "step",
        _inputs(spec, actions, states, form),
        _outputs(actions, states, form),
        [*inner.initializer, *nodes.constants],
    )
    version = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", version)], ir_version=min(model.ir_version, 10)
    )
    return made, states


def _feed(
    nodes: Nodes, names: TensorNames, shapes: dict[str, Shape], spec: EnvironmentSpec, *, slot: int, mask_type: int
) -> None:
    """Make the inputs of the foreign graph of the step function's."""
    observation = "observation"
    if names.append_id:
        identity = np.eye(spec.agents, dtype=np.float32)[slot]
        observation = nodes.add("Concat", observation, nodes.real(identity), axis=0)
    nodes.reshaped(observation, shapes[names.observation], output=f"{PREFIX}{names.observation}")
    if names.mask is not None:
        mask = nodes.reshaped("action_mask", shapes[names.mask])
        nodes.add("Cast", mask, to=mask_type, output=f"{PREFIX}{names.mask}")
    for state in names.state:
        zeros = nodes.real(np.zeros(shapes[state]))
        nodes.add("Where", "first", zeros, f"state.{state_name(state)}", output=f"{PREFIX}{state}")


def _inputs(
    spec: EnvironmentSpec, actions: ActionSpace, states: tuple[StateTensor, ...], form: MessageFormat | None
) -> list[onnx.ValueInfoProto]:
    real, boolean = TensorProto.FLOAT, TensorProto.BOOL
    values = [
        ("observation", real, (spec.observation_size,)),
        ("action_mask", boolean, (actions.mask_size,)),
        ("first", boolean, ()),
        ("greedy", boolean, ()),
        *((f"state.{state.name}", real, state.shape) for state in states),
        ("noise", real, (noise_size(actions),)),
    ]
    if form is not None:
        rows = action_rows(spec)
        values += [
            ("inbox_latent", TensorProto.INT32, (spec.agents, form.categoricals)),
            ("inbox_action", helper.np_dtype_to_tensor_dtype(np.dtype(rows.inbox_dtype)), (spec.agents, *rows.shape)),
            ("inbox_present", boolean, (spec.agents,)),
        ]
    return [helper.make_tensor_value_info(*value) for value in values]


def _outputs(
    actions: ActionSpace, states: tuple[StateTensor, ...], form: MessageFormat | None
) -> list[onnx.ValueInfoProto]:
    real = TensorProto.FLOAT
    kind = TensorProto.INT32 if isinstance(actions, DiscreteActions) else real
    values = [
        ("action", kind, actions.shape),
        ("logits", real, (actions.policy_size,)),
        *((f"state.{state.name}.next", real, state.shape) for state in states),
        *(() if form is None else (("latent", TensorProto.INT32, (form.categoricals,)),)),
    ]
    return [helper.make_tensor_value_info(*value) for value in values]


def _output_shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """What shapes the outputs have, as far as they follow from the inputs'."""
    found = onnx.shape_inference.infer_shapes(model).graph.output
    return {
        value.name: sizes(value)
        for value in found
        if value.type.tensor_type.HasField("shape")
        and all(dimension.HasField("dim_value") for dimension in value.type.tensor_type.shape.dim)
    }
