"""MAG from the first step to a team of processes, every agent with parameters of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from equal_runs import assert_equal_runs
from tiny_team import resume, small_settings, start

from coordinator.plan.plan import make_plan
from coordinator.running.local import evaluate
from heliograph.bundle import load_team
from trainer.algorithms.mag.mag import Mag
from trainer.nets.means import Means
from trainer.training.preset import load_settings
from trainer.training.restored import restored_algorithm, restored_replay
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings

pytestmark = pytest.mark.slow

DEADLINE_S = 120
PLANNING = ("mag.candidates=3", "mag.horizon=2", "mag.predictor_updates=2")


def settings(*overrides: str) -> TrainSettings:
    return small_settings("mag-relay", *PLANNING, "mamba.model.dropout=0.1", *overrides, env_steps=72)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mag") / "run"
    training = start(path, settings("mamba.model.shared=false"))
    summary = training.run()
    training.close()
    assert summary.reason == "steps"
    return path


def test_a_run_learns_where_its_model_errs_and_can_be_resumed(trained: Path, tmp_path: Path) -> None:
    folder = RunFolder.open(trained)
    records = [record for record in folder.history() if "mag/predictor_loss" in record]
    assert records
    assert all(np.isfinite(record["mag/predictor_loss"]) and record["mag/model_error"] > 0 for record in records)
    path = tmp_path / "resumed"
    start(path, settings("mamba.model.shared=false"), stop_after=4).run()
    resume(path).run()
    assert_equal_runs(path, trained)


def test_the_predictor_learns_what_the_model_gets_wrong(trained: Path) -> None:
    folder = RunFolder.open(trained)
    algorithm, _, _ = restored_algorithm(folder, device=torch.device("cpu"))
    assert isinstance(algorithm, Mag)
    window = restored_replay(folder, algorithm).sample(np.random.default_rng(0)).window
    losses = []
    for _ in range(150):
        metrics = Means()
        algorithm.update_predictor(window, metrics)
        losses.append(metrics.result()["mag/predictor_loss"])
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_the_exported_team_runs_as_processes(trained: Path, tmp_path: Path) -> None:
    bundles = RunFolder.open(trained).bundles
    team = load_team(bundles)
    assert {bundle.manifest.algorithm for bundle in team} == {"mag"}
    report = tmp_path / "report.json"
    command = ["run", "--bundles", str(bundles), "--episodes", "3", "--sampled", "--json", str(report)]
    finished = subprocess.run(
        [sys.executable, "-m", "heliograph", *command, "--record", str(tmp_path / "processes.jsonl")],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(report.read_text())
    evaluate(make_plan(team, episodes=3, greedy=False, record=tmp_path / "alone.jsonl"))
    assert (tmp_path / "processes.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()


def test_presets_are_those_of_mamba_with_planning() -> None:
    for name in ("smax-3m", "smax-3m-cpu", "smax-3m-paper", "smax-3m-code", "flatland-10-code", "flatland-cpu"):
        ours, theirs = load_settings(f"mag-{name}", []), load_settings(f"mamba-{name}", [])
        assert (ours.algorithm, theirs.algorithm) == ("mag", "mamba")
        assert ours.environment == theirs.environment
        assert ours.schedule == theirs.schedule
        published = name.endswith("-code")
        rate = 5e-4 if published else theirs.mamba.optimiser.learning_rate
        optimiser = theirs.mamba.optimiser.model_copy(update={"learning_rate": rate})
        assert ours.mamba == theirs.mamba.model_copy(update={"optimiser": optimiser})
        assert (ours.mag.select, ours.mag.label) == (("batch", "published") if published else ("row", "whole"))
