"""`heliograph.onnx_of`: a policy that is a torch module, as a graph that `heliograph.pack` takes."""

from __future__ import annotations

import io
import logging
import warnings
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

        example = tuple(torch.zeros(*shape) for shape in inputs.values())
        buffer = io.BytesIO()
        # TorchScript has no graph that the newer exporter could follow.
        scripted = isinstance(module, torch.jit.ScriptModule)
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            try:
                found = module(*example)
                count = len(found) if isinstance(found, tuple | list) else 1
                if count != len(outputs):
                    raise SettingsError(f"the module returns {count} tensors, and {len(outputs)} are named")
                program = torch.onnx.export(
                    module,
                    example,
                    None if not scripted else buffer,  # type: ignore[arg-type]  # as good as a path to it
                    input_names=list(inputs),
                    output_names=list(outputs),
                    opset_version=18,
                    dynamo=not scripted,
                    verbose=False,
                )
            except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError) as error:
                reason = " ".join(str(error).split())[:300]
                raise SettingsError(f"torch cannot trace the module: {reason}") from error
        if program is not None:
            program.save(buffer, external_data=False)  # type: ignore[arg-type]  # likewise
        model = onnx.load_model_from_string(buffer.getvalue())
    return model.SerializeToString(deterministic=True)
