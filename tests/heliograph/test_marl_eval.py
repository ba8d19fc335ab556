"""marl-eval JSON: what is written is what its readers expect, and files of other writers are understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import OutputFailed, SettingsError
from heliograph.marl_eval import (
    EvaluatedRun,
    EvaluatedStep,
    document,
    environment_and_task,
    merge,
    read,
    write,
)

names = st.text("abcxyz0123_-", min_size=1, max_size=5)
metrics = st.dictionaries(
    names.filter(lambda name: name != "step_count"),
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4).map(tuple),
    max_size=3,
)


@st.composite
def evaluated_runs(draw):
    counts = sorted(draw(st.sets(st.integers(0, 10**9), max_size=3)))
    return EvaluatedRun(
        environment=draw(names),
        task=draw(names),
        algorithm=draw(names),
        run=draw(names),
        steps=tuple(EvaluatedStep(step_count=count, metrics=draw(metrics)) for count in counts),
        absolute=draw(metrics),
    )


def evaluated(*, run: str = "run_0", value: float = 0.5, task: str = "3m") -> EvaluatedRun:
    return EvaluatedRun(
        environment="smax",
        task=task,
        algorithm="MAMBA",
        run=run,
        steps=(
            EvaluatedStep(step_count=2000, metrics={"Won": (value, 1.0)}),
            EvaluatedStep(step_count=1000, metrics={"Won": (0.0, 0.0)}),
        ),
        absolute={"Won": (value,)},
    )


def test_the_document_has_the_shape_and_the_order_that_readers_rely_on():
    entry = document([evaluated(run="Run_7")])["smax"]["3m"]["mamba"]["run_7"]
    assert list(entry) == ["step_0", "step_1", "absolute_metrics"], "in order of steps, the absolute metrics last"
    assert entry["step_0"] == {"step_count": 1000, "won": [0.0, 0.0]}
    assert entry["absolute_metrics"] == {"won": [0.5]}


@pytest.mark.slow
@given(st.lists(evaluated_runs(), max_size=4, unique_by=lambda run: run.key))
def test_what_is_written_is_read_again(tmp_path_factory, runs):
    path = tmp_path_factory.mktemp("marl") / "deep" / "scores.json"
    write(path, runs)
    assert sorted(read(path), key=lambda run: run.key) == sorted(runs, key=lambda run: run.key)
    assert [entry.name for entry in path.parent.iterdir()] == ["scores.json"]


def test_merging_adds_runs_and_the_later_one_counts():
    merged = merge([evaluated(value=0.1)], [evaluated(value=0.9), evaluated(run="run_1")], [evaluated(task="8m")])
    assert [(run.task, run.run, run.absolute["Won"][0]) for run in merged] == [
        ("3m", "run_0", 0.9),
        ("3m", "run_1", 0.5),
        ("8m", "run_0", 0.5),
    ]


def test_two_runs_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="two runs are named smax / 3m / MAMBA / run_0"):
        document([evaluated(), evaluated()])


def test_a_file_of_another_writer_is_understood(tmp_path: Path):
    """Names in any case, single numbers beside lists, the absolute metrics first, steps in any order."""
    steps = {"absolute_metrics": {"mean_episode_return": [174.9]}}
    steps["step_1"] = {"step_count": 61440, "elapsed_time": 6.87, "mean_episode_return": [-10.5]}
    steps["step_0"] = {"step_count": 30720, "elapsed_time": 0.0, "mean_episode_return": [-79.1]}
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({"Matrax": {"Climbing-v0": {"ff_IPPO": {"seed_0": steps}}}}))
    (run,) = read(path)
    assert run.key == ("matrax", "climbing-v0", "ff_ippo", "seed_0")
    assert [step.step_count for step in run.steps] == [30720, 61440]
    assert run.steps[1].metrics == {"elapsed_time": (6.87,), "mean_episode_return": (-10.5,)}
    assert run.absolute == {"mean_episode_return": (174.9,)}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "is not JSON"),
        ("[]", "at the top it is list"),
        ('{"a": {"b": 3}}', "at a / b it is int"),
        ('{"a": {"b": {"c": {"d": {"step_0": {"won": [1]}}}}}}', "a / b / c / d / step_0 step_count is None"),
        ('{"a": {"b": {"c": {"d": {"step_0": {"step_count": 1, "won": []}}}}}}', "step_0 / won it is not a list"),
        ('{"a": {"b": {"c": {"d": {"absolute_metrics": {"won": ["x"]}}}}}}', "absolute_metrics / won it is not"),
        ('{"a": {"b": {"c": {"d": {"absolute_metrics": {"won": [NaN]}}}}}}', "absolute_metrics / won it is not"),
    ],
)
def test_what_is_not_the_format_is_told_with_its_place(tmp_path: Path, text: str, part: str):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=part):
        read(path)


def test_a_file_that_is_not_there_or_cannot_be_written(tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot read"):
        read(tmp_path / "nowhere.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="cannot write"):
        write(tmp_path / "file" / "scores.json", [evaluated()])


@pytest.mark.parametrize(
    ("identity", "parameters", "names"),
    [
        ("flatland-5", None, ("flatland", "flatland-5")),
        ("flatland", {"width": 20, "agents": 3}, ("flatland", "flatland[agents=3,width=20]")),
        ("smax-3m", None, ("smax", "3m")),
        ("smax-5m_vs_6m", {}, ("smax", "5m_vs_6m")),
        ("smac-3m", None, ("smac", "3m")),
        ("smacv2-terran_5_vs_5", None, ("smacv2", "terran_5_vs_5")),
        ("smax", {"scenario": "3m"}, ("smax", "smax[scenario=3m]")),
        ("relay", {"agents": 3}, ("relay", "relay[agents=3]")),
        ("relay-signal", None, ("relay", "relay-signal")),
        ("mpe2.simple_spread_v3", None, ("mpe2", "simple_spread_v3")),
        ("my_package.my_env:make", None, ("my_package.my_env", "make")),
    ],
)
def test_ids_become_an_environment_and_a_task(identity, parameters, names):
    assert environment_and_task(identity, parameters) == names
