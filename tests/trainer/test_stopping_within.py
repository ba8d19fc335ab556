"""A run stopped amid an iteration, an evaluation or an export, again and again, ends like one that never was."""

from __future__ import annotations

from pathlib import Path

import pytest
from equal_runs import assert_equal_runs
from stop_at_check import StopAtCheck
from tiny_team import SMALL_MAPPO, SMALL_QMIX, resume, small_settings, start

from heliograph.bundle import load_team
from trainer.training.settings import TrainSettings


def settings_for(preset: str) -> TrainSettings:
    world = ('environment.id="waiting_game:make"', "evaluation.every=1")
    if preset == "mappo-relay":  # learns from this iteration's rows alone, so it notices if some are missing
        return small_settings(preset, *world, env_steps=48, small=SMALL_MAPPO)
    if preset == "qmix-relay":
        return small_settings(preset, *world, env_steps=48, small=SMALL_QMIX)
    return small_settings(preset, *world, "schedule.overlap=true", env_steps=48)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["mappo-relay", "qmix-relay", "relay-signal"])
def test_a_run_stopped_between_any_two_steps_ends_like_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    alone, stopped = tmp_path / "alone", tmp_path / "stopped"
    start(alone, settings_for(preset)).run()
    stops = iter([2, 3, 6, 8, 11, 14, 18, 40])
    reasons = []
    while reasons[-1:] != ["steps"]:
        number = next(stops)
        monkeypatch.setattr("trainer.training.training.SharedStop", lambda _, number=number: StopAtCheck(number))
        training = resume(stopped) if reasons else start(stopped, settings_for(preset))
        reasons.append(training.run().reason)
    assert reasons.count("interrupted") >= 4
    assert_equal_runs(alone, stopped)
    assert len(load_team(stopped / "bundles")) == 2


@pytest.mark.slow
def test_an_evaluation_of_episodes_without_end_comes_to_an_end_and_says_so(tmp_path: Path) -> None:
    world = ('environment.id="waiting_game:make"', "environment.parameters={endless=true}", "evaluation.most_steps=6")
    training = start(tmp_path / "run", small_settings("mappo-relay", *world, env_steps=24, small=SMALL_MAPPO))
    summary = training.run()
    assert summary.evaluation is not None
    assert (summary.evaluation.length == 6).all()
    assert summary.evaluation.cut.all()
    assert training.folder.history()[1]["evaluate/greedy_cut_episodes"] == 8
