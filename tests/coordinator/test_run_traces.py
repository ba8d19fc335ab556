"""Spans of episodes and steps: none begins before what it follows, and the first begins with its agent inputs."""

from __future__ import annotations

import time
from array import array
from typing import Any

import pytest
from step_record import step_record

from coordinator.observers.tracing import RunTraces
from coordinator.world.trajectory import EpisodeResult


class Written:
    """What a `Spans` was told."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []

    def write(self, name: str, **fields: Any) -> None:
        self.spans.append({"name": name, **fields})


def result() -> EpisodeResult:
    counts = dict.fromkeys(("hearable", "masked", "idle", "illegal"), 1)
    times = {name: array("d", [0.0, 0.0]) for name in ("latency_s", "waited_s", "computed_s")}
    return EpisodeResult(episode=3, seed=1, steps=2, outcome=0.5, team_return=1.5, **times, **counts)


def test_spans_follow_one_another_from_the_first_inputs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10_000_000_000, 11_000_000_000, 12_000_000_000, 20_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    written = Written()
    traces = RunTraces(written)  # type: ignore[arg-type]
    traces.step("open", step_record(0, asked_ns=9_700_000_000))
    traces.step("open", step_record(1))
    traces.episode("open", result())
    traces.step("open", step_record(0, asked_ns=19_500_000_000))
    times = [(span["name"], span["began_ns"] / 1e9, span["ended_ns"] / 1e9) for span in written.spans]
    assert times == [
        ("step", 9.7, 10),
        ("step", 10, 11),
        ("episode", 9.7, 12),
        ("step", 19.5, 20),
    ]
    assert written.spans[0]["attributes"] == {"step": 0, "latency_ms": 250.0, "masked": 1, "idle": 1}
    assert written.spans[2]["attributes"]["outcome"] == 0.5
