"""Processor time of a training: counted over all its parts, logged, and a limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_team import SMALL_MAPPO

from heliograph.cli import main
from heliograph.errors import SettingsError
from trainer.training import clock
from trainer.training.clock import Clock
from trainer.training.preset import load_settings
from trainer.training.settings import ScheduleSettings


def test_parts_add_up_and_a_part_that_was_not_counted_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([100.0, 103.0, 200.0, 202.0, 300.0, 301.0])
    monkeypatch.setattr(clock, "processor_seconds", lambda: next(spent))
    first = Clock()
    first.begin()
    first.tick()
    first.share()
    assert first.record["cpu_seconds"] == 3.0
    again = Clock()
    again.restore(first.state)
    again.begin()
    again.tick()
    again.share()
    assert again.record["cpu_seconds"] == 5.0
    assert again.record["seconds"] >= first.record["seconds"]
    old = Clock()
    old.restore({"seconds": 7.0})
    old.begin()
    old.tick()
    old.share()
    assert old.record.keys() == {"seconds"}


@pytest.mark.parametrize(
    ("minutes", "limit_seconds", "over"),
    [(0.0, None, False), (0.05, None, True), (0.06, None, False), (0.0, 0.0, True)],
)
def test_a_limit_of_either_time_ends_it(
    monkeypatch: pytest.MonkeyPatch, minutes: float, limit_seconds: float | None, over: bool
) -> None:
    spent = iter([0.0, 3.0])
    monkeypatch.setattr(clock, "processor_seconds", lambda: next(spent))
    counted = Clock()
    counted.begin()
    counted.tick()
    counted.share()
    schedule = ScheduleSettings(env_steps=10, steps_per_iteration=1, cpu_minutes=minutes)
    assert counted.is_over(schedule, limit_seconds=limit_seconds) is over


def test_what_must_reach_something_has_no_limit_of_processor_time() -> None:
    with pytest.raises(SettingsError, match=r"schedule\.must_reach goes on with schedule\.minutes"):
        load_settings("relay-demo", ["schedule.cpu_minutes=3"])


@pytest.mark.slow
def test_a_training_ends_by_its_processor_time_and_logs_it(tmp_path: Path) -> None:
    settings = (*SMALL_MAPPO, "schedule.env_steps=100000", "schedule.cpu_minutes=0.001", "evaluation.every=1000")
    flags = [word for text in settings for word in ("--set", text)]
    assert main(["train", "--preset", "mappo-relay", "--folder", str(tmp_path / "run"), *flags]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["reason"] == "time"
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    counted = [record["cpu_seconds"] for record in records]
    assert counted == sorted(counted)
    assert counted[-1] >= 0.06
    assert all(value < 0.06 for value in counted[:-1])
