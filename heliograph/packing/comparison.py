"""Does a wrapped graph say what the foreign one says?  Both are run on random inputs, by onnx's own reference.

The reference is plain numpy, so nothing that would later run a bundle vouches for itself.

Axis legend: A entries of an action mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from heliograph.actions import DiscreteActions
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import BundleCorrupt
from heliograph.packing.acting import noise_size
from heliograph.packing.foreign_graph import sizes
from heliograph.packing.messages import foreign_inbox, message_format, out_of_cell, random_inbox
from heliograph.packing.naming import TensorNames, state_name

ROUNDS = 16
"""Random inputs, one in four of them a first step."""
TOLERANCE = 1e-6
"""By which a logit, or a number of the state, may differ, relative to the larger of it and 1."""

Arrays = dict[str, npt.NDArray[Any]]


def check_alike(
    foreign: onnx.ModelProto, own: onnx.ModelProto, names: TensorNames, spec: EnvironmentSpec, *, slot: int
) -> float:
    """The largest difference found.

    Raises BundleCorrupt where it is above `TOLERANCE`, an action is illegal, or the graph puts out what is no number.
    """
    random = np.random.default_rng(0)
    actions = spec.action_space(slot)
    raw, step = ReferenceEvaluator(foreign), ReferenceEvaluator(own)
    largest = 0.0
    for number in range(ROUNDS):
        inputs = _random_inputs(foreign, names, spec, slot=slot, first=number % 4 == 0, random=random)
        told = _foreign_inputs(foreign, names, spec, inputs, slot=slot)
        expected = dict(zip(names.outputs, raw.run(names.outputs, told), strict=True))
        outputs = [value.name for value in own.graph.output]
        found = dict(zip(outputs, step.run(outputs, inputs), strict=True))
        legal = inputs["action_mask"]
        pairs = [(found[f"state.{state_name(name)}.next"], expected[after]) for name, after in names.state.items()]
        if names.logits is not None:
            pairs.append((found["logits"][legal], expected[names.logits].reshape(-1)[legal]))
        else:
            told_of = [expected[name].reshape(-1) for name in (names.mean, names.deviation) if name is not None]
            both = [np.pad(each, (0, len(legal) - len(each)))[legal] for each in told_of]
            halves = np.split(found["logits"], 2)
            pairs += [(half[legal], told) for half, told in zip(halves, both, strict=False)]
        sent = [] if names.message is None else [expected[names.message.output]]
        if not all(np.isfinite(told).all() for told in (*(told for _, told in pairs), *sent)):
            raise BundleCorrupt(
                f"the graph of slot {slot} puts out infinity or what is no number, for an observation of small numbers",
                remedy="Look for such weights; a training that has diverged leaves them",
            )
        largest = max([largest, *(_difference(*pair) for pair in pairs)])
        if names.message is not None:
            largest = max(largest, out_of_cell(names.message, found["latent"], expected[names.message.output]))
        action = found["action"][()] if isinstance(actions, DiscreteActions) else found["action"]
        if not largest <= TOLERANCE:
            raise BundleCorrupt(f"the wrapped policy of slot {slot} differs from the graph by {largest:.3g}")
        if not actions.is_legal(action, legal):
            raise BundleCorrupt(f"the wrapped policy of slot {slot} took the action {action}, which is illegal there")
    return largest


# Six parameters: the graph, what its tensors mean, and of what sizes and kinds the inputs are.
def _random_inputs(
    foreign: onnx.ModelProto,
    names: TensorNames,
    spec: EnvironmentSpec,
    *,
    slot: int,
    first: bool,
    random: np.random.Generator,
) -> Arrays:
    actions = spec.action_space(slot)
    mask = np.ones(actions.mask_size, dtype=np.bool_)
    if spec.has_action_mask:
        mask = random.random(actions.mask_size) < 0.5
        mask[random.integers(actions.mask_size)] = True
    shapes = {value.name: sizes(value) for value in foreign.graph.input}
    inbox: Arrays = {}
    if names.message is not None:
        form = message_format(names.message, shapes, spec)
        inbox = random_inbox(form, spec, slot=slot, random=random)
    return {
        "observation": random.standard_normal(spec.observation_size).astype(np.float32),
        "action_mask": mask,
        "first": np.array(first),
        "greedy": np.array(bool(random.integers(2))),
        "noise": random.uniform(0.001, 0.999, noise_size(actions)).astype(np.float32),
        **{
            f"state.{state_name(name)}": random.standard_normal(shapes[name]).astype(np.float32) for name in names.state
        },
        **inbox,
    }


def _foreign_inputs(
    foreign: onnx.ModelProto, names: TensorNames, spec: EnvironmentSpec, inputs: Arrays, *, slot: int
) -> Arrays:
    """What the foreign graph gets of a step function's inputs."""
    values = {value.name: value for value in foreign.graph.input}
    observation = inputs["observation"]
    if names.append_id:
        observation = np.concatenate([observation, np.eye(spec.agents, dtype=np.float32)[slot]])
    told = {names.observation: observation.reshape(sizes(values[names.observation]))}
    for name in names.state:
        state = inputs[f"state.{state_name(name)}"]
        told[name] = np.zeros_like(state) if inputs["first"] else state
    if names.mask is not None:
        kind = helper.tensor_dtype_to_np_dtype(values[names.mask].type.tensor_type.elem_type)
        told[names.mask] = inputs["action_mask"].reshape(sizes(values[names.mask])).astype(kind)
    if names.message is not None:
        told |= foreign_inbox(names.message, foreign, inputs, slot=slot)
    return told


def _difference(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest one, relative to what is expected where that is above 1; not a number if one of them is none."""
    flat = np.asarray(expected, np.float64).reshape(-1)
    far = np.abs(np.asarray(found, np.float64).reshape(-1) - flat) / np.maximum(1, np.abs(flat))
    return float(far.max()) if far.size else 0.0
