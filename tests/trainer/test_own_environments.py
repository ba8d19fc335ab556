"""`heliograph train` with an environment by its import path: what it does not say, and what it must not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.cli import main
from heliograph.run_status import RunState, read_status

TRAIN = (
    *("train", "--preset", "mappo-relay", "--set", "threads=1", "--set", "environment.copies=2"),
    *("--set", "schedule.steps_per_iteration=10", "--set", "schedule.env_steps=40"),
    *("--set", "evaluation.episodes=2", "--set", "evaluation.final_episodes=4"),
)

pytestmark = pytest.mark.slow


def test_a_limit_of_steps_is_set_for_an_environment_that_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (*TRAIN, "--environment", "waiting_game:make_without_limit")
    world = ("--set", "environment.parameters.endless=true")
    assert main([*given, *world, "--folder", str(tmp_path / "without")]) == 5
    assert "say --set environment.parameters.step_limit=N to `train`" in capsys.readouterr().err
    run = tmp_path / "run"
    limit = ("--set", "environment.parameters.step_limit=3")
    assert main([*given, *world, *limit, "--folder", str(run)]) == 0
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["collect/length"] == 3
    assert json.loads((run / "summary.json").read_text())["greedy"]["cut_episodes"] == 0, "they come to their end"
    report = tmp_path / "report.json"
    allowed = ("--allow-environment", "waiting_game:make_without_limit")
    assert main(["evaluate", str(run), *allowed, "--episodes", "2", "--json", str(report)]) == 0
    assert json.loads(report.read_text())["summaries"][0]["steps"] == 6, "bundles take it along"


@pytest.mark.parametrize("workers", [0, 2], ids=["here", "in workers"])
def test_an_environment_that_exits_with_success_is_no_success_of_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr("waiting_game.WaitingGame.steps_made", 0)
    run = tmp_path / "run"
    world = ("--set", "environment.parameters.exits_at=9", "--set", f"environment.workers={workers}")
    assert main([*TRAIN, "--environment", "waiting_game:make", *world, "--folder", str(run)]) == 5
    assert "step called sys.exit(0) (waiting_game.py, line" in capsys.readouterr().err
    status = read_status(run)
    assert (status.state, status.exit_code) == (RunState.FAILED, 5)
