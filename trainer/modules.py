"""`heliograph.onnx_of`: a policy that is a torch module, as a graph that `heliograph.pack` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from heliograph.errors import SettingsError
from trainer.commands.extra import trainer_extra

if TYPE_CHECKING:
    import torch


def onnx_of(module: torch.nn.Module, inputs: Mapping[str, Sequence[int]], outputs: Sequence[str]) -> bytes:
    """Trace a module, or a TorchScript program, that takes float32 tensors and returns them, one or a tuple.

    Args:
        module: In the mode in which it acts (`eval`), on the CPU; it must be a plain function of its inputs.
        inputs: A name and a shape for each argument, in order, such as `{"obs": [1, 18], "h": [1, 64]}`.
        outputs: A name for each result, in order.

    Returns:
        An ONNX graph of operator set 18 with those names.

    Raises:
        MissingExtra: The packages of the trainer are not installed.
        SettingsError: Torch cannot trace the module, or it returns another number of tensors.
    """
    with trainer_extra("tracing a module"):
        import onnx
        import torch

        from trainer.export.exporting import exported

        try:
            example = {name: torch.zeros(*shape) for name, shape in inputs.items()}
            with torch.no_grad():
                found = module(*example.values())
            count = len(found) if isinstance(found, tuple | list) else 1
            if count != len(outputs):
                raise SettingsError(f"the module returns {count} tensors, and {len(outputs)} are named")
            graph = exported(module, example, outputs)
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise SettingsError(f"torch cannot trace the module: {reason}") from error
        model = onnx.load_model_from_string(graph)
    return model.SerializeToString(deterministic=True)
