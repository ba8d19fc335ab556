"""`heliograph.onnx_of`: torch modules and TorchScript programs as graphs that can be packed."""

from __future__ import annotations

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import heliograph
from heliograph.errors import SettingsError


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRU(4, 6), nn.Linear(6, 3)

    def forward(self, obs: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Of [1, 1, 4] and [1, 1, 6]."""
        hidden, after = self.cell(obs, h)
        return self.head(hidden), after


SHAPES = {"obs": [1, 1, 4], "h": [1, 1, 6]}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("scripted", [False, True])
def test_a_graph_does_what_the_module_does(scripted: bool) -> None:
    torch.manual_seed(0)
    module = Recurrent().eval()
    graph = heliograph.onnx_of(torch.jit.script(module) if scripted else module, SHAPES, ["logits", "h_out"])
    assert __file__.encode() not in graph, "where a module's code lies is nobody's business"
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == list(SHAPES)
    inputs = {name: torch.randn(*shape) for name, shape in SHAPES.items()}
    found = session.run(["logits", "h_out"], {name: value.numpy() for name, value in inputs.items()})
    for one, other in zip(found, module(*inputs.values()), strict=True):
        torch.testing.assert_close(torch.from_numpy(one), other, atol=1e-6, rtol=1e-5)


def test_results_must_all_be_named() -> None:
    with pytest.raises(SettingsError, match="returns 2 tensors, and 1 are named"):
        heliograph.onnx_of(Recurrent(), SHAPES, ["logits"])


def test_what_cannot_be_called_so_is_said() -> None:
    for size in (5, -4):
        with pytest.raises(SettingsError, match="torch cannot trace the module"):
            heliograph.onnx_of(Recurrent(), {"obs": [1, 1, size], "h": [1, 1, 6]}, ["logits", "h_out"])
