"""Step functions traced to ONNX, each structure once: tracing takes seconds, and filling weights in does not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from trainer.algorithms.step_function import StepFunction
from trainer.export.exporting import exported
from trainer.export.shared_graphs import share_graph, shared_graph
from trainer.export.structure import Structure, structure_of, tensors_of

OWN = "own."
"""Before the names of parameters and buffers in a graph."""


class Traces:
    """The newest graphs by structure, without weights: a team whose agents have the same or equal networks is traced
    once, and so is one that is exported again and again while it learns."""

    def __init__(self, *, limit: int = 8) -> None:
        self._limit = limit
        self._graphs: OrderedDict[Structure, onnx.ModelProto] = OrderedDict()

    def graph(self, step: StepFunction) -> bytes:
        """An ONNX graph of the step function; takes seconds if it is the first of its structure."""
        tensors = tensors_of(step.module.eval())
        structure = structure_of(step)
        empty = None if structure is None else self._graphs.pop(structure, None) or shared_graph(structure)
        if empty is None:
            inputs = step.inputs | {f"{OWN}{name}": value for name, value in tensors.items()}
            empty = onnx.load_from_string(
                traced(replace(step, module=_Open(step.module, list(tensors)).eval(), inputs=inputs))
            )
            if structure is not None:
                share_graph(structure, empty)
        if structure is not None:
            self._graphs[structure] = empty
            while len(self._graphs) > self._limit:
                self._graphs.popitem(last=False)
        return _filled(empty, tensors)


TRACES = Traces()
"""Those of this process."""


def traced_team(steps: Sequence[StepFunction], *, check: Callable[[], None] = lambda: None) -> list[bytes]:
    """A graph for each slot of a team.  `check` is called before each, and may raise."""
    graphs = []
    for step in steps:
        check()
        graphs.append(TRACES.graph(step))
    return graphs


def traced(step: StepFunction) -> bytes:
    """An ONNX graph of the step function, whose module is in evaluation mode, traced anew."""
    return exported(step.module, step.inputs, step.outputs)


class _Open(nn.Module):
    """A module that is given its parameters and buffers as further inputs, the last ones."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *inputs: Tensor) -> Any:
        count = len(self.names)
        given = dict(zip(self.names, inputs[len(inputs) - count :], strict=True))
        return torch.func.functional_call(self.module, given, inputs[: len(inputs) - count])


def _filled(empty: onnx.ModelProto, tensors: dict[str, Tensor]) -> bytes:
    """The graph with these in place of the inputs of their names; what no node reads is left out."""
    model = onnx.ModelProto()
    model.CopyFrom(empty)
    graph = model.graph
    read = {name for node in graph.node for name in node.input} | {each.name for each in graph.output}
    values = {f"{OWN}{name}": value for name, value in tensors.items()}
    inputs = [each for each in graph.input if each.name not in values]
    del graph.input[:]
    graph.input.extend(inputs)
    graph.initializer.extend(
        numpy_helper.from_array(value.detach().numpy(), name) for name, value in values.items() if name in read
    )
    return model.SerializeToString(deterministic=True)
