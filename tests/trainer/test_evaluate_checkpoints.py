"""`heliograph evaluate --checkpoints all` and `--central`: the trainer's networks, found through the entry point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_team import small_settings, start

from analysis.comparison.sources import read_histories
from analysis.comparison.tasks import make_tasks
from heliograph.cli import main
from heliograph.marl_eval import read
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

EPISODES = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was evaluated on its way, greedy and sampled."""
    path = tmp_path_factory.mktemp("checkpoints") / "run"
    start(path, small_settings("relay-signal", "evaluation.sampled=true", "seed=7", env_steps=12 * 9)).run()
    return path


@pytest.fixture(scope="module")
def evaluated(run: Path) -> list[dict]:
    return [r for r in RunFolder.open(run).history() if "evaluate/greedy_outcome" in r]


def test_every_checkpoint_scores_what_training_measured_there(run: Path, evaluated: list[dict], tmp_path: Path):
    """The same networks on the same episodes: the evaluations on the way are found again, number for number."""
    seed = json.loads((run / "settings.json").read_text())["evaluation"]["seed"]
    command = ["evaluate", str(run), "--checkpoints", "all", "--policy", "both", "--seed", str(seed)]
    command += ["--episodes", str(EPISODES), "--json", str(tmp_path / "scores.json")]
    assert main(command) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    for policy in ("greedy", "sampled"):
        found = {score["env_steps"]: score for score in scores if score["policy"] == policy}
        assert set(found) == {record["env_steps"] for record in evaluated} | {12 * 9}
        for record in evaluated:
            score = found[record["env_steps"]]
            assert score["outcome"]["mean"] == pytest.approx(record[f"evaluate/{policy}_outcome"], abs=1e-6)
            assert score["return"]["mean"] == pytest.approx(record[f"evaluate/{policy}_return"], abs=1e-6)


def test_the_best_checkpoint_plays_fresh_episodes_for_the_absolute_metrics(run: Path, evaluated, tmp_path: Path):
    file = tmp_path / "results.json"
    command = ["evaluate", str(run), "--checkpoints", "all", "--episodes", "3", "--marl-eval", str(file)]
    assert main(command) == 0
    (found,) = read(file)
    assert (found.task, found.algorithm, found.run) == ("relay-signal", "mamba", "seed_7")
    assert [step.step_count for step in found.steps] == [*(record["env_steps"] for record in evaluated), 12 * 9]
    assert all(len(step.metrics["won"]) == 3 for step in found.steps)
    assert len(found.absolute["won"]) == len(found.absolute["return"]) == 30
    (task,) = make_tasks(read_histories([str(file)], metric="outcome", policy="greedy", by=None))
    assert task.scores["mamba"].tolist() == [pytest.approx(sum(found.absolute["won"]) / 30)]


def test_bundles_and_central_networks_stand_side_by_side(run: Path, tmp_path: Path):
    document = tmp_path / "scores.json"
    command = ["evaluate", str(run), "--central", "--episodes", "5", "--json", str(document)]
    assert main(command) == 0
    (central,) = json.loads(document.read_text())["central"]
    assert main([*command, "--reference", "random"]) == 0
    alone, together, random = json.loads(document.read_text())["scores"]
    assert [score["team"] for score in (alone, together, random)] == ["each alone", "all at once", "reference"]
    assert alone["outcome"] == together["outcome"] == central["outcome"]


def test_a_run_without_snapshots_is_told(tmp_path: Path, capsys):
    start(tmp_path / "run", small_settings("relay-signal", "evaluation.snapshots=0"), stop_after=3).run()
    assert main(["evaluate", str(tmp_path / "run"), "--checkpoints", "all"]) == 2
    assert "holds no snapshots" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), "--checkpoints", "all"]) == 2
    assert "is not a run folder" in capsys.readouterr().err
