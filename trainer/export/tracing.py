"""Step functions traced to ONNX: one by one, or once for a team whose agents differ in a few constants alone."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from trainer.algorithms.step_function import StepFunction

OPSET = 18


def traced(step: StepFunction) -> bytes:
    """An ONNX graph of the step function; takes seconds."""
    buffer = io.BytesIO()
    arguments: dict[str, Any] = {
        "input_names": list(step.inputs),
        "output_names": list(step.outputs),
        "opset_version": OPSET,
        "dynamo": True,
        "verbose": False,
        "external_data": False,
    }
    # The exporter logs a page of progress and warns about its own internals; errors still raise.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(step.module.eval(), tuple(step.inputs.values()), **arguments)
        assert program is not None
        _forget_sources(program)
        program.save(buffer)  # type: ignore[arg-type]  # a buffer is as good as a path to it
    return buffer.getvalue()


def traced_team(steps: Sequence[StepFunction], *, check: Callable[[], None] = lambda: None) -> list[bytes]:
    """A graph for each slot of a team.

    Where all run the same networks and differ in constants alone, one is traced, with those as inputs, and each slot's
    graph has its own in their place.  `check` is called before each that is traced and may raise.
    """
    constants = _constants(steps)
    if constants is None:
        graphs = []
        for step in steps:
            check()
            graphs.append(traced(step))
        return graphs
    check()
    first, names = steps[0], list(constants[0])
    if not names:
        return [traced(first)] * len(steps)
    inputs = first.inputs | {f"own.{name}": value for name, value in constants[0].items()}
    common = onnx.load_from_string(traced(replace(first, module=_Open(first.module, names), inputs=inputs)))
    return [_filled(common, each) for each in constants]


def _constants(steps: Sequence[StepFunction]) -> list[dict[str, Tensor]] | None:
    """What differs between the step functions, of each; None if they are not known to differ in constants alone."""
    if any(step.differs_by is None for step in steps):
        return None
    tensors = [dict([*step.module.named_parameters(), *step.module.named_buffers()]) for step in steps]
    differing = {
        name
        for each in tensors
        for name in each.keys() | tensors[0].keys()
        if name not in each or name not in tensors[0] or not torch.equal(each[name], tensors[0][name])
    }
    if not differing <= set(steps[0].differs_by or ()):
        return None  # networks of their own, which are better traced as what they are
    return [{name: each[name] for name in sorted(differing)} for each in tensors]


class _Open(nn.Module):
    """A module that is given some of its buffers as further inputs, the last ones."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *inputs: Tensor) -> Any:
        count = len(self.names)
        given = dict(zip(self.names, inputs[-count:], strict=True))
        return torch.func.functional_call(self.module, given, inputs[:-count])


def _filled(common: onnx.ModelProto, constants: dict[str, Tensor]) -> bytes:
    """The graph with constants in place of the inputs of their names."""
    model = onnx.ModelProto()
    model.CopyFrom(common)
    values = {f"own.{name}": value for name, value in constants.items()}
    inputs = [each for each in model.graph.input if each.name not in values]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.graph.initializer.extend(numpy_helper.from_array(value.numpy(), name) for name, value in values.items())
    return model.SerializeToString(deterministic=True)


def _forget_sources(program: torch.onnx.ONNXProgram) -> None:
    """Drop the exporter's notes: paths and lines of this machine's code at every node, four fifths of a small graph."""
    graph = program.model.graph
    values = (value for node in graph for value in node.outputs)
    for noted in (program.model, graph, *graph, *graph.inputs, *graph.initializers.values(), *values):
        noted.metadata_props.clear()
        noted.doc_string = None
