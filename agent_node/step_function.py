"""The bundle's ONNX graph as a checked function on one thread.  Imported by `agent.py` and by the node's start-up.

Axis legend: N agents, K categoricals, D observation size, A actions, k dimensions of a continuous one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from heliograph.bundle import Bundle
from heliograph.errors import BundleCorrupt, BundleError, BundleMismatch
from heliograph.graph import check_graph
from heliograph.manifest import Manifest

Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""(dtype, shape) by name."""

_TYPES = {"float32": "tensor(float)", "int32": "tensor(int32)", "bool": "tensor(bool)"}

# Failures while reading or running a graph; the runtime has no common base class for them.
_RUNTIME_ERRORS = (
    onnxruntime.capi.onnxruntime_pybind11_state.Fail,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
    onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException,
)


class StepFunction:
    """`step.onnx` loaded; its tensors are those that the manifest promises, checked once here.

    Raises BundleCorrupt if the graph cannot be read or is not one that is safe to load, BundleMismatch if its tensors
    are not the manifest's.  The bundle itself is not kept: its bytes can be freed.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = bundle.manifest
        check_graph(bundle.graph)
        try:
            self._session = _load(bundle.graph)
        except _RUNTIME_ERRORS as error:
            raise BundleCorrupt(f"step.onnx cannot be loaded: {_first_line(error)}") from None
        inputs, outputs = expected_tensors(self.manifest)
        _check("input", inputs, self._session.get_inputs())
        _check("output", outputs, self._session.get_outputs())
        self._output_names = list(outputs)

    def __call__(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Run one step.  Raises BundleError if the graph fails on well-formed inputs."""
        try:
            values = self._session.run(self._output_names, feeds)
        except _RUNTIME_ERRORS as error:
            raise BundleError(f"step.onnx failed: {_first_line(error)}") from None
        return dict(zip(self._output_names, values, strict=True))


def expected_tensors(manifest: Manifest) -> tuple[Tensors, Tensors]:
    """The graph's inputs and outputs by name: (dtype, shape)."""
    agents, actions = manifest.team_size, manifest.actions
    of_action = np.dtype(actions.dtype).name
    inputs: Tensors = {
        "observation": ("float32", (manifest.observation_size,)),
        "action_mask": ("bool", (actions.mask_size,)),
        "first": ("bool", ()),
        "greedy": ("bool", ()),
        "noise": ("float32", (manifest.noise_size,)),
    }
    outputs: Tensors = {
        "action": (of_action, actions.shape),
        "logits": ("float32", (actions.policy_size,)),
    }
    if manifest.message is not None:
        inputs["inbox_latent"] = ("int32", (agents, manifest.message.categoricals))
        rows = manifest.received_actions
        inputs["inbox_action"] = (np.dtype(rows.inbox_dtype).name, (agents, *rows.shape))
        inputs["inbox_present"] = ("bool", (agents,))
        if manifest.predicts is not None:
            inputs["inbox_age"] = ("int32", (agents,))
        outputs["latent"] = ("int32", (manifest.message.categoricals,))
    for state in manifest.state:
        inputs[f"state.{state.name}"] = (state.dtype, state.shape)
        outputs[f"state.{state.name}.next"] = (state.dtype, state.shape)
    return inputs, outputs


def _load(graph: bytes) -> onnxruntime.InferenceSession:
    options, providers = _session_options(), ["CPUExecutionProvider"]
    if not hasattr(os, "memfd_create"):
        return onnxruntime.InferenceSession(graph, sess_options=options, providers=providers)
    # A session keeps a graph that it got as bytes, beside the weights that it made of it; a file it only reads.
    with os.fdopen(os.memfd_create("step.onnx"), "wb") as file:
        file.write(graph)
        file.flush()
        return onnxruntime.InferenceSession(f"/proc/self/fd/{file.fileno()}", sess_options=options, providers=providers)


def _session_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # One thread: an agent shares its machine with others, and results must not depend on a pool's timing.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # What a step computes with stays for the next step: from the C library it would come anew each time, in pages that
    # the kernel clears.  Weights are elsewhere, so that those of a bundle that was replaced are given back.
    options.enable_cpu_mem_arena = True
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    options.log_severity_level = 3
    return options


def _check(side: str, expected: Tensors, found: Sequence[onnxruntime.NodeArg]) -> None:
    tensors = {tensor.name: (tensor.type, tuple(tensor.shape)) for tensor in found}
    if tensors.keys() != expected.keys():
        differing = ", ".join(sorted(tensors.keys() ^ expected.keys()))
        raise BundleMismatch(f"step.onnx and its manifest differ in the {side}s {differing}")
    for name, (dtype, shape) in expected.items():
        if tensors[name] != (_TYPES[dtype], shape):
            raise BundleMismatch(
                f"step.onnx has {side} {name} of {tensors[name][0]} {list(tensors[name][1])}, "
                f"its manifest promises {_TYPES[dtype]} {list(shape)}"
            )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
