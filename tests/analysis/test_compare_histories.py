"""What `heliograph compare` reads: labels, tasks, common steps, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recorded_runs import recorded_run

from analysis.comparison.histories import FINAL
from analysis.comparison.results import learning_curves
from analysis.comparison.sources import read_histories
from analysis.comparison.tasks import make_tasks
from heliograph.errors import SettingsError
from heliograph.marl_eval import EvaluatedRun, EvaluatedStep, write


def read(*arguments: object, metric: str = "outcome", policy: str = "greedy", by: str | None = None):
    return read_histories([str(argument) for argument in arguments], metric=metric, policy=policy, by=by)


def tasks(*arguments: object, **options):
    return make_tasks(read(*arguments, **options))


def test_runs_are_grouped_by_task_and_label(tmp_path: Path):
    recorded_run(tmp_path / "a" / "0", [0.1, 0.2])
    recorded_run(tmp_path / "a" / "1", [0.3, 0.4], seed=1)
    recorded_run(tmp_path / "b", [0.5, 0.6], parameters={"agents": 3})
    recorded_run(tmp_path / "c", [0.7, 0.8], parameters={"agents": 2})  # which is what it would be without
    found = tasks(tmp_path / "a", f"mine={tmp_path}/[bc]")
    assert {task.name: {label: len(runs) for label, runs in task.runs.items()} for task in found} == {
        "relay": {"mamba": 2, "mine": 1},
        "relay[agents=3]": {"mine": 1},
    }
    assert found[0].scores["mamba"].tolist() == [0.2, 0.4]
    np.testing.assert_array_equal(found[0].curves["mamba"], [[0.1, 0.2], [0.3, 0.4]])


def test_a_setting_makes_labels_and_is_then_no_part_of_the_task(tmp_path: Path):
    for hears in ("all", "range"):
        recorded_run(tmp_path / hears, [0.1], parameters={"hears": hears}, mamba={"model": {"hidden": 16}})
    assert [task.name for task in tasks(tmp_path)] == ["relay", "relay[hears=range]"]
    (task,) = tasks(tmp_path, by="environment.parameters.hears")
    assert (task.name, list(task.runs)) == ("relay", ["hears=all", "hears=range"])
    assert list(tasks(tmp_path, by="mamba.model.hidden")[0].runs) == ["hidden=16"]


@pytest.mark.parametrize(
    ("by", "part"),
    [
        ("seed", "repetitions of one another"),
        ("evaluation.seed", "repetitions of one another"),
        ("mamba.nonsense", "nothing is called 'mamba' "),
        ("environment", "is a table of settings"),
    ],
)
def test_a_setting_that_makes_no_labels_is_refused(tmp_path: Path, by: str, part: str):
    recorded_run(tmp_path / "run", [0.1])
    with pytest.raises(SettingsError, match=part):
        read(tmp_path / "run", by=by)


def test_a_run_counts_with_its_final_evaluation_or_else_its_last_and_says_which(tmp_path: Path):
    recorded_run(tmp_path / "a", [0.1, 0.2], final=0.25, ended=2100)
    recorded_run(tmp_path / "b", [0.3, 0.4], final=0.45, seed=1, ended=2100)
    (task,) = tasks(tmp_path)
    assert task.scores["mamba"].tolist() == [0.25, 0.45]
    assert task.measure == "won"
    assert task.scored == "final evaluation on fresh episodes, after 2,100 environment steps"
    assert tasks(tmp_path, metric="return")[0].scores["mamba"].tolist() == [2.5, 4.5]
    recorded_run(tmp_path / "c", [0.5, 0.6], seed=2)  # interrupted: it has no final evaluation
    (task,) = tasks(tmp_path)
    assert task.scores["mamba"].tolist() == [0.25, 0.45, 0.6]
    assert [run.score.step for run in task.runs["mamba"]] == [2100, 2100, 2000]
    assert "or last evaluation on the way" in task.scored


def test_runs_of_unequal_length_have_their_own_scores_and_curves_as_far_as_all_went(tmp_path: Path):
    recorded_run(tmp_path / "short", [0.1, 0.898], final=0.9)
    recorded_run(tmp_path / "long", [0.0, 0.3, 0.6], final=0.988, seed=1)
    (task,) = tasks(tmp_path)
    assert task.grid.tolist() == [1000, 2000]
    assert sorted(task.scores["mamba"].tolist()) == [0.9, 0.988]
    assert task.scored == "final evaluation on fresh episodes, after the steps in the table"
    assert any("up to between 2,000 and 3,000 steps" in remark for remark in task.remarks)


def test_runs_that_share_no_range_of_steps_are_compared_without_curves(tmp_path: Path):
    early = recorded_run(tmp_path / "early", [0.1, 0.2], final=0.3)
    late = recorded_run(tmp_path / "late", [0.4, 0.5], first=5000, seed=1)
    (task,) = tasks(early, late)
    assert (task.curves, task.grid.tolist()) == ({}, [])
    assert task.scores["mamba"].tolist() == [0.3, 0.5]
    assert any("one ends at 2,000 and one begins at 5,000" in remark for remark in task.remarks)
    assert learning_curves([task]) == []


def test_a_run_evaluated_once_takes_no_curve_from_the_others(tmp_path: Path):
    recorded_run(tmp_path / "run", [0.1, 0.2, 0.6], final=0.7)
    once = EvaluatedStep(step_count=9600, metrics={"won": (1.0, 0.0)})
    alone = EvaluatedRun(
        environment="relay", task="relay", algorithm="mappo", run="seed_0", steps=(once,), absolute=once.metrics
    )
    write(tmp_path / "theirs.json", [alone])
    (task,) = tasks(tmp_path / "run", tmp_path / "theirs.json")
    assert (list(task.curves), task.grid.tolist()) == (["mamba"], [1000, 2000, 3000])
    (score,) = (run.score for run in task.runs["mappo"])
    assert (score.value, score.step) == (0.5, 9600)
    assert any("evaluated once have no curve: mappo" in remark for remark in task.remarks)


def test_curves_of_other_steps_are_interpolated_and_that_is_said(tmp_path: Path):
    recorded_run(tmp_path / "a", [0.0, 1.0, 1.0], every=1000)
    recorded_run(tmp_path / "b", [0.0, 0.5], every=500, first=1500, seed=1)
    (task,) = tasks(tmp_path)
    assert task.grid.tolist() == [1500, 2000]
    assert task.curves["mamba"].tolist() == [[0.5, 1.0], [0.0, 0.5]]
    assert any("interpolated" in remark for remark in task.remarks)


def test_what_makes_a_label_doubtful_is_said(tmp_path: Path):
    recorded_run(tmp_path / "a", [0.1], mamba={"rounds": 1})
    recorded_run(tmp_path / "b", [0.1], mamba={"rounds": 2}, seed=1, threads=2)
    recorded_run(tmp_path / "c", [0.1], mamba={"rounds": 2}, seed=1, threads=2)
    (task,) = tasks(tmp_path)
    told = "\n".join(task.remarks)
    assert "differ in more than their seed: mamba.rounds." in told
    assert "may be one run twice" in told
    assert "fewer than 5 runs" in told


def test_marl_eval_files_stand_beside_run_folders(tmp_path: Path):
    recorded_run(tmp_path / "run", [0.1, 0.2], final=0.3, environment="smax-3m", parameters={})
    runs = [
        EvaluatedRun(
            environment="SMAX",
            task="3m",
            algorithm=algorithm,
            run=f"seed_{seed}",
            steps=tuple(EvaluatedStep(step_count=1000 * k, metrics={"won": (0.0, 0.2 * k)}) for k in (1, 2)),
            absolute={"won": (0.5, 0.7)},
        )
        for algorithm in ("mappo", "qmix")
        for seed in (0, 1)
    ]
    write(tmp_path / "theirs.json", runs)
    (task,) = tasks(tmp_path / "run", tmp_path / "theirs.json")
    assert {label: len(members) for label, members in task.runs.items()} == {"mamba": 1, "mappo": 2, "qmix": 2}
    assert task.scores["mappo"].tolist() == pytest.approx([0.6, 0.6])
    np.testing.assert_allclose(task.curves["qmix"], [[0.1, 0.2], [0.1, 0.2]])
    assert task.runs["mappo"][0].score.step is None, "of the best checkpoint, and the file does not say which"
    assert {run.label for run in read(f"theirs={tmp_path / 'theirs.json'}")} == {"theirs mappo", "theirs qmix"}
    with pytest.raises(SettingsError, match="has no return"):
        read(tmp_path / "theirs.json", metric="return")


@pytest.mark.parametrize(("metric", "value"), [("outcome", 0.7), ("return", 7.0)])
def test_a_run_that_ended_before_its_first_evaluation_counts_with_its_final_one(
    tmp_path: Path, metric: str, value: float
):
    recorded_run(tmp_path / "run", [0.1, 0.2, 0.6], final=0.7)
    recorded_run(tmp_path / "short", [], final=0.7, seed=1, ended=480)
    (task,) = tasks(tmp_path, metric=metric)
    scores = {run.score.step: (run.score.value, run.score.kind) for run in task.runs["mamba"]}
    assert scores == {3000: (value, FINAL), 480: (value, FINAL)}
    with pytest.raises(SettingsError, match="no evaluation of the greedy policy"):
        read(recorded_run(tmp_path / "not over", [], seed=2))


def test_what_cannot_be_compared_is_told(tmp_path: Path):
    run = recorded_run(tmp_path / "run", [0.1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="is not a run folder, and holds none"):
        read(tmp_path / "empty")
    with pytest.raises(SettingsError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="nothing matches"):
        read(f"a={tmp_path}/x*")
    with pytest.raises(SettingsError, match="is named twice"):
        read(run, tmp_path)
    with pytest.raises(SettingsError, match="no evaluation of the sampled policy"):
        read(run, policy="sampled")
    with pytest.raises(SettingsError, match="not of the form LABEL=RUN"):
        read(f"={run}")
    ended = recorded_run(tmp_path / "ended", [0.1], final=0.1, ended="never")
    with pytest.raises(SettingsError, match="env_steps is 'never'"):
        read(ended)
    broken = recorded_run(tmp_path / "broken", [float("nan")], seed=2)
    with pytest.raises(SettingsError, match="not a finite number"):
        read(broken)
    (broken / "metrics.jsonl").write_text("{\n")
    with pytest.raises(SettingsError, match="cannot be read"):
        read(broken)


def test_runs_that_measure_different_things_are_not_averaged(tmp_path: Path):
    recorded_run(tmp_path / "a", [0.1], measure="won", final=0.1)
    recorded_run(tmp_path / "b", [0.1], measure="arrived", final=0.1, seed=1)
    with pytest.raises(SettingsError, match="measure different things: arrived, won"):
        tasks(tmp_path)
