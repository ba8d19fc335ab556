"""Step functions of one structure are traced once, and each has its own weights and constants in its graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from trainer.algorithms.step_function import StepFunction
from trainer.export import tracing
from trainer.export.structure import structure_of
from trainer.export.tracing import Traces


class Step(nn.Module):
    def __init__(self, network: nn.Module, identity: list[float], *, sign: float = 1.0) -> None:
        super().__init__()
        self.network, self.sign = network, sign
        self.constant = torch.tensor([sign])
        self.register_buffer("identity", torch.tensor(identity))
        self.register_buffer("never_read", torch.zeros(1000))
        self.identity: Tensor

    def forward(self, observation: Tensor) -> Tensor:
        answer: Tensor = self.sign * self.network(torch.cat([observation, self.identity])) + self.constant
        return answer


def step(network: nn.Module, identity: list[float], *, sign: float = 1.0) -> StepFunction:
    return StepFunction(
        module=Step(network, identity, sign=sign),
        inputs={"observation": torch.zeros(3)},
        outputs=("answer",),
        state=(),
        message=None,
        noise_size=0,
    )


def assert_does_what(graph: bytes, of: StepFunction) -> None:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["observation"]
    observation = np.linspace(-1, 1, 3, dtype=np.float32)
    (answer,) = session.run(None, {"observation": observation})
    np.testing.assert_allclose(answer, of.module(torch.from_numpy(observation)).detach().numpy(), atol=1e-6)


@pytest.mark.slow
def test_a_structure_is_traced_once_and_every_graph_has_its_own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    traces, real = [], tracing.traced
    monkeypatch.setattr(tracing, "traced", lambda step: traces.append(step) or real(step))
    shared = nn.Linear(5, 2)
    team = [step(shared, [1.0, 0.0]), step(shared, [0.0, 1.0]), step(nn.Linear(5, 2), [0.0, 0.0])]
    found = Traces()
    graphs = [found.graph(each) for each in team]
    assert len(traces) == 1
    for each, graph in zip(team, graphs, strict=True):
        assert_does_what(graph, each)
        assert len(graph) < 2_000, "what is never read is left out"
    # Learned on: the same trace, other weights.
    with torch.no_grad():
        shared.weight.add_(1.0)
    assert_does_what(found.graph(team[0]), team[0])
    assert len(traces) == 1
    # Another sign is another function, though all weights have the same shapes.
    other = step(shared, [1.0, 0.0], sign=-1.0)
    assert_does_what(found.graph(other), other)
    assert len(traces) == 2


def test_a_structure_is_everything_but_the_values_of_weights() -> None:
    network, one = nn.Linear(5, 2), structure_of(step(nn.Linear(5, 2), [1.0, 0.0]))
    assert one is not None
    assert structure_of(step(network, [0.0, 1.0])) == one
    assert structure_of(step(nn.Linear(5, 2).double(), [0.0, 1.0])) != one
    assert structure_of(step(nn.Linear(6, 2), [0.0, 1.0, 0.0])) != one
    assert structure_of(step(nn.Sequential(nn.Linear(5, 2)), [0.0, 1.0])) != one
    assert structure_of(step(network, [0.0, 1.0], sign=2.0)) != one


def test_a_weight_that_is_held_beside_its_module_is_no_part_of_a_structure() -> None:
    aliased, shared = step(nn.Linear(5, 2), [1.0, 0.0]), nn.Linear(2, 2)
    aliased.module.also = [aliased.module.identity]  # type: ignore[assignment]
    assert structure_of(aliased) is None
    twice = step(nn.Sequential(nn.Linear(5, 2), shared, shared), [1.0, 0.0])
    assert structure_of(twice) is not None, "a module that is used twice is one"


def test_what_cannot_be_compared_is_traced_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = onnx.ModelProto().SerializeToString()
    traces: list[StepFunction] = []
    monkeypatch.setattr(tracing, "traced", lambda step: traces.append(step) or empty)
    odd = step(nn.Linear(5, 2), [1.0, 0.0])
    odd.module.chosen = lambda: 1  # type: ignore[assignment]  # a function without a name is never pickled
    found = Traces()
    for _ in range(2):
        found.graph(odd)
    assert structure_of(odd) is None
    assert len(traces) == 2


def test_only_the_newest_structures_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = onnx.ModelProto().SerializeToString()
    traces: list[StepFunction] = []
    monkeypatch.setattr(tracing, "traced", lambda step: traces.append(step) or empty)
    found = Traces(limit=2)
    for sign in (1.0, 2.0, 1.0, 3.0, 1.0, 2.0):
        found.graph(step(nn.Linear(5, 2), [1.0, 0.0], sign=sign))
    assert [each.module.module.sign for each in traces] == [1.0, 2.0, 3.0, 2.0]  # type: ignore[union-attr]


def test_a_stop_is_asked_about_before_every_graph() -> None:
    class Stop(Exception):
        pass

    asked = []

    def check() -> None:
        asked.append(True)
        raise Stop

    with pytest.raises(Stop):
        tracing.traced_team([step(nn.Linear(5, 2), [1.0, 0.0])], check=check)
    assert len(asked) == 1
