"""A bundle's ONNX graph, loaded for one thread and checked against its manifest.

The only module that imports onnxruntime.  Axis legend: N agents, D observation, A actions, K categoricals.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime

from heliograph.bundle import Bundle
from heliograph.errors import BundleCorrupt, BundleMismatch
from heliograph.manifest import Manifest

_ONNX_TYPES = {"tensor(float)": "float32", "tensor(int32)": "int32", "tensor(bool)": "bool"}
_FATAL_ONLY = 4

# Otherwise the runtime writes a device id below the user's cache directory.
onnxruntime.disable_telemetry_events()


class StepFunction:
    """`step(observation, inbox, state, noise) -> (latent, action, logits, state)` of one slot; keeps no state itself."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the graph.  Raises BundleCorrupt if it cannot run, BundleMismatch if it differs from the manifest."""
        self.manifest = bundle.manifest
        try:
            self._session = onnxruntime.InferenceSession(bundle.graph, _options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a class of its own per status, without a common base
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            raise BundleCorrupt(f"onnxruntime cannot load step.onnx: {first_line}") from None
        _check("input", self._session.get_inputs(), input_tensors(self.manifest))
        _check("output", self._session.get_outputs(), output_tensors(self.manifest))
        self._outputs = list(output_tensors(self.manifest))

    def __call__(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once on the tensors of `input_tensors`; returns those of `output_tensors`."""
        return dict(zip(self._outputs, self._session.run(self._outputs, feeds), strict=True))


def input_tensors(manifest: Manifest) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> (dtype, shape) of every graph input that a bundle with this manifest has."""
    agents = manifest.team_size
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {
        "observation": ("float32", (manifest.observation_size,)),
        "action_mask": ("bool", (manifest.actions.count,)),
    }
    if manifest.message is not None:
        tensors["inbox_latent"] = ("int32", (agents, manifest.message.categoricals))
        tensors["inbox_action"] = ("int32", (agents,))
        tensors["inbox_present"] = ("bool", (agents,))
    tensors["first"] = ("bool", ())
    tensors["greedy"] = ("bool", ())
    tensors |= {f"state.{tensor.name}": (tensor.dtype, tensor.shape) for tensor in manifest.state}
    return tensors | {"noise": ("float32", (manifest.noise_size,))}


def output_tensors(manifest: Manifest) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name -> (dtype, shape) of every graph output that a bundle with this manifest has."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    if manifest.message is not None:
        tensors["latent"] = ("int32", (manifest.message.categoricals,))
    tensors["action"] = ("int32", ())
    tensors["logits"] = ("float32", (manifest.actions.count,))
    return tensors | {f"state.{tensor.name}.next": (tensor.dtype, tensor.shape) for tensor in manifest.state}


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    # An agent shares its machine with its peers: one thread, which sleeps between steps instead of spinning.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # The arena rounds a few kilobytes of activations up to megabytes and gains nothing at batch 1.
    options.enable_cpu_mem_arena = False
    # What is wrong with a graph reaches the caller as an error; the runtime's own log would only repeat it.
    options.log_severity_level = _FATAL_ONLY
    return options


def _check(kind: str, found: list[onnxruntime.NodeArg], expected: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    tensors = {node.name: (_ONNX_TYPES.get(node.type, node.type), tuple(node.shape)) for node in found}
    for name in sorted(expected.keys() | tensors.keys()):
        if expected.get(name) != tensors.get(name):
            raise BundleMismatch(
                f"step.onnx has {kind} {name} = {tensors.get(name)}, its manifest asks for {expected.get(name)}",
                remedy="Export the bundle again; see docs/bundle.md for the tensors of the graph",
            )
