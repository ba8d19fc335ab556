"""Snapshots on the way: which ones stay, that they hold the networks, and that a resumed run keeps the same ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_team import resume, small_settings, small_team, start

from heliograph.bundle import load_team
from heliograph.cli import main
from heliograph.errors import CheckpointError, SettingsError
from trainer.training.settings import TrainSettings
from trainer.training.snapshots import (
    ChosenNetworks,
    _stride,
    chosen_networks,
    load_snapshot,
    save_snapshot,
    saved_snapshots,
)

LIMIT = 3
ITERATIONS = 14


@pytest.fixture(scope="module")
def settings():
    return small_settings("relay-signal", f"evaluation.snapshots={LIMIT}", env_steps=10**6)


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    """A whole run, and its training, whose networks are those of its end."""
    path = tmp_path_factory.mktemp("snapshots") / "run"
    training = start(path, settings, stop_after=ITERATIONS)
    training.run()
    return path, training


def evaluated_steps(path: Path) -> list[int]:
    return [int(snapshot.name) for snapshot in saved_snapshots(path / "snapshots")]


def spread_steps(path: Path, settings: TrainSettings) -> list[int]:
    """Of the snapshots that stay by their number alone, and not for their score."""
    documents = [json.loads((found / "snapshot.json").read_text()) for found in saved_snapshots(path / "snapshots")]
    stride = _stride(ITERATIONS // settings.evaluation.every, LIMIT)
    return [document["env_steps"] for document in documents if document["evaluation"] % stride == 0]


@pytest.mark.slow
def test_a_run_keeps_evenly_spread_snapshots_of_its_evaluations(run):
    path, training = run
    steps = evaluated_steps(path)
    evaluated = [r["env_steps"] for r in training.folder.history() if "evaluate/greedy_outcome" in r]
    assert len(evaluated) > LIMIT
    assert 1 < len(spread_steps(path, training.settings)) <= LIMIT
    assert len(steps) <= LIMIT + 1
    assert set(steps) <= set(evaluated)
    assert len({later - earlier for earlier, later in pairwise(spread_steps(path, training.settings))}) == 1


@pytest.mark.slow
def test_a_snapshot_brings_the_networks_of_its_evaluation_back(run):
    path, training = run
    early = saved_snapshots(path / "snapshots")[0]
    assert int(early.name) < training.collector.env_steps
    algorithm = training.algorithm
    name, ours = next(iter(algorithm.modules().items()))
    at_the_end = {key: value.clone() for key, value in ours.state_dict().items()}
    assert load_snapshot(early, algorithm) == int(early.name)
    then = algorithm.modules()[name].state_dict()
    assert any(not torch.equal(value, then[key]) for key, value in at_the_end.items())


@pytest.mark.slow
def test_a_resumed_run_keeps_the_snapshots_of_the_uninterrupted_one(run, settings, tmp_path: Path):
    path = tmp_path / "run"
    start(path, settings, stop_after=7).run()
    before = evaluated_steps(path)
    forgotten = path / "snapshots" / f"{10**6:09d}"  # written after the last checkpoint, before a crash
    (path / "snapshots" / f"{before[-1]:09d}").rename(forgotten)
    resume(path, stop_after=ITERATIONS).run()
    assert not forgotten.exists()
    assert evaluated_steps(path) == evaluated_steps(run[0])


@given(st.integers(1, 12), st.integers(1, 60))
def test_at_most_the_limit_stays_and_half_of_it_at_least(limit, evaluations):
    stride = _stride(evaluations, limit)
    kept = len([number for number in range(1, evaluations + 1) if number % stride == 0])
    assert kept <= limit
    assert kept >= min(evaluations, (limit + 1) // 2)


def test_no_snapshots_where_none_are_wanted(tmp_path: Path):
    algorithm, _ = small_team("relay-signal", {})
    save_snapshot(tmp_path / "snapshots", env_steps=5, evaluation=1, score=0.5, algorithm=algorithm, limit=0)
    assert saved_snapshots(tmp_path / "snapshots") == []


def test_a_broken_snapshot_or_one_of_another_team_is_told(tmp_path: Path):
    algorithm, _ = small_team("relay-signal", {})
    save_snapshot(tmp_path, env_steps=5, evaluation=1, score=0.5, algorithm=algorithm, limit=1)
    (path,) = saved_snapshots(tmp_path)
    other, _ = small_team("relay-signal", {}, hidden=24)
    with pytest.raises(CheckpointError, match="do not fit this run's model"):
        load_snapshot(path, other)
    tensors = path / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_snapshot(path, algorithm)
    (path / "snapshot.json").write_text('{"format_version": 9}')
    with pytest.raises(CheckpointError, match="it is of version 9, and what is read here is of version 1"):
        load_snapshot(path, algorithm)


@pytest.mark.slow
def test_the_best_snapshot_is_the_one_that_scored_highest(run):
    path, _ = run
    steps = evaluated_steps(path)
    history = [{"env_steps": step, "score": score} for step, score in zip(steps, (0.3, 0.9, 0.9), strict=False)]
    best = chosen_networks(path / "snapshots", "best", history=history, measure="score")
    assert (best.env_steps, best.score) == (steps[2] if len(steps) > 2 else steps[1], 0.9)
    assert best.path == path / "snapshots" / f"{best.env_steps:09d}"
    chosen = chosen_networks(path / "snapshots", str(steps[0]), history=[], measure="score")
    assert (chosen.path, chosen.score) == (path / "snapshots" / f"{steps[0]:09d}", None)
    with pytest.raises(SettingsError, match="no snapshot '7'"):
        chosen_networks(path / "snapshots", "7", history=history, measure="score")
    with pytest.raises(SettingsError, match="no snapshot with an evaluation"):
        chosen_networks(path / "snapshots", "best", history=history, measure="another")


def test_the_best_so_far_is_kept_whichever_evaluation_it_was(tmp_path: Path):
    """At a limit of two, of seven evaluations the fourth alone stays by its number."""
    algorithm, _ = small_team("relay-signal", {})
    kept = []
    scores = {1: 0.1, 2: 0.4, 3: 0.9, 4: 0.2, 5: 0.9, 6: float("nan"), 7: 0.3}
    for evaluation in (1, 2, 3, 4, 5, 5, 6, 7):  # one that a signal broke off is done again
        score = scores[evaluation]
        save_snapshot(
            tmp_path, env_steps=10 * evaluation, evaluation=evaluation, score=score, algorithm=algorithm, limit=2
        )
        kept.append([int(path.name) for path in saved_snapshots(tmp_path)])
    assert kept == [[10], [10, 20], [20, 30], [20, 30, 40], [20, 40, 50], [20, 40, 50], [40, 50], [40, 50]]


def test_the_networks_of_the_end_are_the_best_if_they_scored_highest(run):
    path, _ = run
    steps = evaluated_steps(path)
    end = ChosenNetworks(path=None, env_steps=10**6, score=0.8)

    def best(*scores: float, more: Sequence[dict[str, float]] = ()) -> ChosenNetworks:
        history = [{"env_steps": step, "score": score} for step, score in zip(steps, scores, strict=False)]
        return chosen_networks(path / "snapshots", "best", history=[*history, *more], measure="score", final=end)

    assert best(0.3, 0.7) == end
    assert best(0.3, 0.81).env_steps == steps[1]
    assert best(0.3, 0.8).path is None, "of equals the newest"
    of_its_record = best(0.3, 0.7, more=[{"env_steps": 10**6, "score": 0.6}])
    assert (of_its_record.env_steps, of_its_record.score) == (steps[1], 0.7)


@pytest.mark.slow
def test_a_snapshot_can_be_exported(run, tmp_path: Path, capsys):
    path, training = run
    assert main(["export", str(path), "--to", str(tmp_path), "--snapshot", "best"]) == 0
    said = capsys.readouterr()
    team = load_team(tmp_path)
    history = [r for r in training.folder.history() if "evaluate/greedy_outcome" in r]
    score, steps = max((record["evaluate/greedy_outcome"], record["env_steps"]) for record in history)
    assert f"networks after {steps} steps, which scored {score:.3f}" in said.err
    assert team[0].manifest.training_step == steps
