"""A team whose agents differ in constants alone is traced once, and each agent's graph is its own all the same."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from trainer.algorithms.step_function import StepFunction
from trainer.export import tracing


class Step(nn.Module):
    def __init__(self, network: nn.Module, identity: list[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("identity", torch.tensor(identity))
        self.identity: Tensor

    def forward(self, observation: Tensor) -> Tensor:
        answer: Tensor = self.network(torch.cat([observation, self.identity]))
        return answer


def steps(*modules: nn.Module, differs_by: tuple[str, ...] | None = ("identity",)) -> list[StepFunction]:
    return [
        StepFunction(
            module=module,
            inputs={"observation": torch.zeros(3)},
            outputs=("answer",),
            state=(),
            message=None,
            noise_size=0,
            differs_by=differs_by,
        )
        for module in modules
    ]


class Counted:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, step: StepFunction) -> bytes:
        self.count += 1
        return f"graph {self.count}".encode()


@pytest.mark.slow
def test_every_graph_has_its_own_constants_in_a_trace_that_all_share(monkeypatch: pytest.MonkeyPatch) -> None:
    traces, real = [], tracing.traced
    monkeypatch.setattr(tracing, "traced", lambda step: traces.append(step) or real(step))
    network = nn.Linear(5, 2)
    team = steps(*(Step(network, identity) for identity in ([1.0, 0.0], [0.0, 1.0], [0.0, 0.0])))
    graphs = tracing.traced_team(team)
    assert len(traces) == 1
    for step, graph in zip(team, graphs, strict=True):
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        assert [each.name for each in session.get_inputs()] == ["observation"]
        observation = np.linspace(-1, 1, 3, dtype=np.float32)
        (answer,) = session.run(None, {"observation": observation})
        np.testing.assert_allclose(answer, step.module(torch.from_numpy(observation)).detach().numpy(), atol=1e-6)


def test_agents_that_differ_in_nothing_have_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "traced", counted := Counted())
    network = nn.Linear(5, 2)
    assert tracing.traced_team(steps(*(Step(network, [1.0, 0.0]) for _ in range(3)))) == [b"graph 1"] * 3
    assert counted.count == 1


def test_agents_with_networks_of_their_own_or_of_unknown_difference_are_traced_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "traced", Counted())
    checked: list[None] = []
    own = steps(Step(nn.Linear(5, 2), [1.0, 0.0]), Step(nn.Linear(5, 2), [0.0, 1.0]))
    assert tracing.traced_team(own, check=lambda: checked.append(None)) == [b"graph 1", b"graph 2"]
    assert len(checked) == 2
    network = nn.Linear(5, 2)
    unknown = steps(Step(network, [1.0, 0.0]), Step(network, [0.0, 1.0]), differs_by=None)
    assert tracing.traced_team(unknown) == [b"graph 3", b"graph 4"]
    sizes = steps(Step(network, [1.0, 0.0]), Step(nn.Linear(6, 2), [0.0, 1.0, 2.0]))
    assert tracing.traced_team(sizes) == [b"graph 5", b"graph 6"]
