"""Processes share graphs: what one has traced another exports, as long as nothing that it was traced from differs."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from trainer.algorithms.step_function import StepFunction
from trainer.export import shared_graphs, tracing
from trainer.export.tracing import Traces


class OfAnotherPackage(nn.Linear):
    """Its code is no part of what graphs are found by."""


def step(module: nn.Module) -> StepFunction:
    return StepFunction(
        module=module, inputs={"x": torch.zeros(3)}, outputs=("y",), state=(), message=None, noise_size=0
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(shared_graphs.FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[StepFunction]:
    """What is traced, to graphs that are told apart by their numbers."""
    found: list[StepFunction] = []

    def trace(each: StepFunction) -> bytes:
        found.append(each)
        return onnx.ModelProto(producer_name=f"{len(found)}").SerializeToString()

    monkeypatch.setattr(tracing, "traced", trace)
    return found


def number_of(graph: bytes) -> int:
    return int(onnx.load_from_string(graph).producer_name)


def test_another_process_takes_the_graph_of_a_structure_and_traces_any_other(
    folder: Path, traced: list[StepFunction]
) -> None:
    numbers = [number_of(Traces().graph(step(nn.Linear(3, width)))) for width in (2, 2, 4, 2)]
    assert numbers == [1, 1, 2, 1]
    assert len(list(folder.iterdir())) == 2, "and nothing that was half written"


def test_a_graph_is_of_its_sources_and_of_the_numbers_that_layers_calculate_with(
    folder: Path, traced: list[StepFunction], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert number_of(Traces().graph(step(nn.Linear(3, 2)))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(shared_graphs, "_sources", lambda: b"changed")
        assert number_of(Traces().graph(step(nn.Linear(3, 2)))) == 2
        patch.setattr(shared_graphs, "_sources", lambda: None)
        assert [number_of(Traces().graph(step(nn.Linear(3, 2)))) for _ in range(2)] == [3, 4], "not to be shared"
    weights = nn.Linear(3, 2)
    torch.set_default_dtype(torch.float64)
    try:
        assert number_of(Traces().graph(step(weights))) == 5
    finally:
        torch.set_default_dtype(torch.float32)
    assert number_of(Traces().graph(step(nn.Linear(3, 2)))) == 1


def test_sources_that_were_changed_meanwhile_are_not_those_that_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = type("Package", (), {"__path__": [str(tmp_path)]})
    monkeypatch.setattr(shared_graphs, "_PACKAGES", (package,))
    digest = shared_graphs._sources.__wrapped__
    seen = []
    for text in ("one", "two"):
        (tmp_path / "module.py").write_text(text)
        monkeypatch.setattr(shared_graphs, "_LOADED", (tmp_path / "module.py").stat().st_mtime)
        seen.append(digest())
    assert None not in seen
    assert seen[0] != seen[1]
    monkeypatch.setattr(shared_graphs, "_LOADED", (tmp_path / "module.py").stat().st_mtime - 1)
    assert digest() is None


def test_what_is_not_all_known_or_has_no_folder_is_traced_each_time(
    folder: Path, traced: list[StepFunction], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        Traces().graph(step(OfAnotherPackage(3, 2)))
    assert len(traced) == 2
    monkeypatch.setenv(shared_graphs.FOLDER, str(folder / "nowhere"))
    for _ in range(2):
        Traces().graph(step(nn.Linear(3, 2)))
    monkeypatch.delenv(shared_graphs.FOLDER)
    for _ in range(2):
        Traces().graph(step(nn.Linear(3, 2)))
    assert len(traced) == 6
    assert not list(folder.iterdir())


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:-1] + b"\xff", lambda whole: b""])
def test_a_graph_that_is_not_whole_is_traced_anew(folder: Path, traced: list[StepFunction], damage) -> None:
    Traces().graph(step(nn.Linear(3, 2)))
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert [number_of(Traces().graph(step(nn.Linear(3, 2)))) for _ in range(2)] == [2, 2]
