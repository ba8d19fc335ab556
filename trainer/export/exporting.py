"""One call of torch's ONNX exporter, without its talk: for step functions, and for modules of users."""

from __future__ import annotations

import gc
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

OPSET = 18


def exported(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> bytes:
    """An ONNX graph of a module on these example inputs, in order, with these names.

    Notes of where in this machine's code a node comes from are left out.  Raises what torch raises.
    """
    buffer = io.BytesIO()
    # TorchScript has no graph that the newer exporter could follow.
    scripted = isinstance(module, torch.jit.ScriptModule)
    arguments: dict[str, Any] = {
        "input_names": list(inputs),
        "output_names": list(outputs),
        "opset_version": OPSET,
        "dynamo": not scripted,
        "verbose": False,
    }
    # The exporter logs a page of progress and warns about its own internals; errors still raise.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad(), _without_collecting():
        warnings.simplefilter("ignore")
        if scripted:
            arguments["f"] = buffer
        program = torch.onnx.export(module, tuple(inputs.values()), **arguments)
        if program is not None:  # the older exporter writes for itself
            _forget_sources(program)
            program.save(buffer, external_data=False)  # type: ignore[arg-type]  # a buffer is as good as a path to it
    return buffer.getvalue()


@contextmanager
def _without_collecting() -> Iterator[None]:
    """What the exporter makes by the hundred thousand stays until it is done: the collector would take an eighth of its
    time, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _forget_sources(program: torch.onnx.ONNXProgram) -> None:
    """Drop the exporter's notes: paths and lines of this machine's code at every node, four fifths of a small graph."""
    graph = program.model.graph
    values = (value for node in graph for value in node.outputs)
    for noted in (program.model, graph, *graph, *graph.inputs, *graph.initializers.values(), *values):
        noted.metadata_props.clear()
        noted.doc_string = None
