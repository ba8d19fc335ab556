"""Trials of a tuning: kept as they were, judged by their runs, and proposed from nothing but what is kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.campaign.grid import Run, runs_of
from analysis.campaign.places import Places, places_of
from analysis.campaign.planning import plans_of
from analysis.campaign.result import CurvePoint, PolicyScores, RunResult, Score, write_result
from analysis.campaign.settings import CampaignSettings, TunePlan, read_campaign
from analysis.campaign.standing import Standing, State
from analysis.campaign.tuning.proposals import proposed
from analysis.campaign.tuning.trials import (
    Trial,
    TrialState,
    cells_of_trials,
    judged,
    read_trials,
    write_trials,
)
from heliograph.cli import main
from heliograph.environments.permission import CATALOGUE_ONLY
from heliograph.errors import MissingExtra, OutputFailed, SettingsError

PARAMETERS = {
    "mappo.ppo.clip": {"low": 0.05, "high": 0.5, "log": True},
    "mappo.ppo.epochs": {"low": 1, "high": 9},
    "mappo.ppo.reward_sharing": {"choices": ["team", "individual"]},
}

VALUES = {"mappo.ppo.clip": 0.1, "mappo.ppo.epochs": 3, "mappo.ppo.reward_sharing": "team"}


def campaign(**more: Any) -> CampaignSettings:
    tune = {"method": "mappo", "trials": 6, "parameters": PARAMETERS, "seeds": "0-1"} | more
    return CampaignSettings.model_validate(
        {
            "name": "try",
            "seeds": "5-7",
            "worlds": {name: {"preset": "{method}-relay-sighted", "env_steps": 100} for name in ("w", "v")},
            "methods": {"mappo": {}, "mag": {}},
            "tune": tune,
        }
    )


def plan_of(settings: CampaignSettings) -> TunePlan:
    assert settings.tune is not None
    return settings.tune


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return places_of("try", tmp_path / "out", None)


def test_trials_are_read_as_they_were_written(places: Places) -> None:
    trials = [
        Trial(number=0, values=VALUES, state=TrialState.SCORED, score=0.5),
        Trial(number=1, values=VALUES, state=TrialState.DIVERGED),
        Trial(number=2, values=VALUES),
    ]
    assert read_trials(campaign(), places) == []
    write_trials(campaign(), places, trials)
    assert read_trials(campaign(), places) == trials
    with pytest.raises(SettingsError, match="it is of other parameters than the campaign's"):
        read_trials(campaign(parameters=PARAMETERS | {"mappo.ppo.trace": {"low": 0.5, "high": 1.0}}), places)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": 4}, "not numbered from 0 on"),
        ({"score": 0.3}, "has a score and is not scored"),
        ({"state": "lost"}, "'lost' is not a valid TrialState"),
        ({"state": "scored", "score": "nan"}, "a score that is no number"),
        ({"values": VALUES | {"mappo.ppo.clip": 0.6}}, r"a mappo\.ppo\.clip that is none of those that may be drawn"),
        ({"values": VALUES | {"mappo.ppo.epochs": 2.5}}, r"a mappo\.ppo\.epochs that is none"),
        ({"values": VALUES | {"mappo.ppo.reward_sharing": "\x1b[2J"}}, r"a mappo\.ppo\.reward_sharing that is none"),
    ],
)
def test_what_are_no_trials_is_said(places: Places, change: dict[str, Any], said: str) -> None:
    write_trials(campaign(), places, [Trial(number=0, values=VALUES)])
    path = places.results / "trials-mappo.json"
    document = json.loads(path.read_text())
    document["trials"][0] |= change
    path.write_text(json.dumps(document))
    with pytest.raises(SettingsError, match=said):
        read_trials(campaign(), places)


@pytest.mark.parametrize(
    "change",
    [{"seeds": "0-2"}, {"worlds": ["v"]}, {"env_steps": 50}, {"policy": "greedy"}],
    ids=["seeds", "worlds", "env_steps", "policy"],
)
def test_scores_of_other_seeds_worlds_or_budgets_are_not_gone_on_with(places: Places, change: dict[str, Any]) -> None:
    trials = [Trial(number=0, values=VALUES, state=TrialState.SCORED, score=0.5)]
    write_trials(campaign(), places, trials)
    assert read_trials(campaign(trials=60), places) == trials
    with pytest.raises(SettingsError, match="judged by other worlds, seeds, settings or budgets"):
        read_trials(campaign(**change), places)


@pytest.mark.slow
def test_what_earlier_trials_have_taken_is_of_the_same_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    file = tmp_path / "try.toml"
    file.write_text(
        'name = "try"\ncpu_hours = 1\nworlds.w = { preset = "mappo-relay-sighted" }\nmethods.mappo = {}\n'
        'tune = { method = "mappo", seeds = "0", trials = 2, parameters."mappo.ppo.epochs" = { low = 1, high = 9 } }\n'
    )
    settings, found = read_campaign(file), places_of("try", tmp_path / "out", None)
    done = Trial(number=0, values={"mappo.ppo.epochs": 3}, state=TrialState.SCORED, score=0.5)
    found.make()
    write_trials(settings, found, [done])
    (run,) = runs_of(cells_of_trials(settings, [done]))
    result = standing_of(run, 0.5, cpu_seconds=7200.0).result
    assert result is not None
    write_result(found.result(run), result)
    assert main(["campaign", "tune", str(file), "--out", str(found.out)]) == OutputFailed.exit_code
    assert "the runs have taken 2.0 processor hours of 1" in capsys.readouterr().err
    assert not found.log(Run(cell=run.cell, seed=0)).exists()


def test_of_equal_trials_the_first_is_the_best_and_told_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "try.toml"
    file.write_text(
        'name = "try"\nworlds.w = { preset = "mappo-relay-sighted" }\nmethods.mappo = {}\n'
        'tune = { method = "mappo", seeds = "0", trials = 3, parameters."mappo.ppo.epochs" = { low = 1, high = 9 } }\n'
    )
    settings, found = read_campaign(file), places_of("try", tmp_path / "out", None)
    found.make()
    scores = (-0.5, -0.2, -0.2)
    trials = [
        Trial(number=number, values={"mappo.ppo.epochs": 3 + number}, state=TrialState.SCORED, score=score)
        for number, score in enumerate(scores)
    ]
    write_trials(settings, found, trials)
    assert main(["campaign", "tune", str(file), "--out", str(found.out)]) == 0
    shown = capsys.readouterr().out
    assert "settings.mappo.ppo.epochs = 4" in shown
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("│")] == ["1", "2", "0"]


def test_short_numbers_stay_within_their_range() -> None:
    pytest.importorskip("optuna")
    narrow = plan_of(campaign(parameters={"mappo.ppo.clip": {"low": 0.12345671, "high": 0.12345674}}))
    asked = proposed(narrow, [])
    assert narrow.parameters["mappo.ppo.clip"].takes(asked.values["mappo.ppo.clip"])
    assert proposed(narrow, [asked]).number == 1


def test_a_trial_is_a_variant_in_every_world_with_seeds_of_its_own() -> None:
    settings = campaign()
    cells = cells_of_trials(settings, [Trial(number=0, values=VALUES), Trial(number=11, values=VALUES)])
    assert [cell.name for cell in cells] == [f"{w}/mappo+trial-{n}" for n in ("000", "011") for w in ("w", "v")]
    assert {cell.seeds for cell in cells} == {(0, 1)}
    (plan, *_) = plans_of(cells, permission=CATALOGUE_ONLY, source="campaign")
    assert plan.settings["mappo.ppo.epochs"] == 3
    assert [cell.world for cell in cells_of_trials(campaign(worlds=["v"]), [Trial(number=0, values=VALUES)])] == ["v"]


def test_a_parameter_that_is_no_setting_is_said() -> None:
    settings = campaign(parameters={"mappo.ppo.magic": {"low": 0, "high": 3}})
    cells = cells_of_trials(settings, [Trial(number=0, values={"mappo.ppo.magic": 2})])
    with pytest.raises(SettingsError, match=r"unknown key mappo\.ppo\.magic"):
        plans_of(cells, permission=CATALOGUE_ONLY, source="campaign")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"low": 1}, "either from `low` to `high`, or one of `choices`"),
        ({"low": 1, "high": 2, "choices": [1, 2]}, "either from"),
        ({"low": 3, "high": 2}, "low 3 is not below high 2"),
        ({"low": 0, "high": 2, "log": True}, "begins above 0"),
        ({"choices": [1]}, "one choice is none"),
    ],
)
def test_ranges_that_are_none_are_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        campaign(parameters={"mappo.ppo.clip": given})


def standing_of(run: Run, value: float, **more: Any) -> Standing:
    (plan,) = plans_of([run.cell], permission=CATALOGUE_ONLY, source="campaign")
    score = Score(
        mean=value, low=0.0, high=1.0, team_return=0.0, episodes=200, bits_per_agent_step=None, missed_deadlines=0
    )
    points = [CurvePoint(env_steps=50, seconds=1.0, cpu_seconds=None, outcome={"sampled": value / 2}, team_return={})]
    fields: dict[str, Any] = {
        **{"campaign": "try", "world": run.cell.world, "method": "mappo", "variant": run.cell.variant},
        **{"seed": run.seed, "preset": run.cell.preset, "algorithm": "mappo", "heliograph": "0", "machine": "here"},
        **{"ended": "steps", "detail": "", "env_steps": 100, "seconds": 1.0, "cpu_seconds": None, "measure": "won"},
        **{"blind_bound": None, "lost_episodes": 0, "evaluation_seed": 1, "by_processes": True, "curve": points},
        **{"scores": {"sampled": PolicyScores(score=score, masked=None)}, "settings": {}, "digest": ""},
    }
    state = State.DIVERGED if more.get("ended") == "diverged" else State.DONE
    return Standing(run=run, plan=plan, state=state, result=RunResult(**(fields | more)))


def test_a_trial_counts_for_the_mean_over_worlds_of_the_middle_of_its_seeds() -> None:
    settings, trial = campaign(), Trial(number=0, values=VALUES)
    runs = runs_of(cells_of_trials(settings, [trial]))
    values = {"w": (0.2, 0.4), "v": (0.8, 1.0)}
    found = [standing_of(run, values[run.cell.world][run.seed]) for run in runs]
    assert judged(trial, found, settings).score == pytest.approx(0.6)
    assert judged(trial, found, campaign(env_steps=50)).score == pytest.approx(0.3)
    assert judged(trial, found, campaign(env_steps=101)).state is TrialState.DIVERGED, "no run comes so far"
    absent = Standing(run=runs[0], plan=found[0].plan, state=State.ABSENT)
    assert judged(trial, [absent, *found[1:]], settings) == trial, "it stays open"
    wild = standing_of(runs[0], 0.0, ended="diverged", scores={})
    assert judged(trial, [wild, *found[1:]], settings).state is TrialState.DIVERGED


def test_proposals_follow_from_what_is_kept_alone() -> None:
    pytest.importorskip("optuna")
    plan = plan_of(campaign())

    def grown(count: int) -> list[Trial]:
        trials: list[Trial] = []
        while len(trials) < count:
            asked = proposed(plan, trials)
            score = 1.0 - abs(asked.values["mappo.ppo.clip"] - 0.3)
            trials.append(Trial(number=asked.number, values=asked.values, state=TrialState.SCORED, score=score))
        return trials

    trials = grown(6)
    assert trials == grown(6)
    assert len({str(trial.values) for trial in trials}) == 6
    for trial in trials:
        assert set(trial.values) == set(PARAMETERS)
        assert 0.05 <= trial.values["mappo.ppo.clip"] <= 0.5
        assert trial.values["mappo.ppo.epochs"] in range(1, 10)
        assert trial.values["mappo.ppo.reward_sharing"] in ("team", "individual")
    open_too = [*trials[:3], Trial(number=3, values=VALUES, state=TrialState.DIVERGED), Trial(number=4, values=VALUES)]
    assert proposed(plan, open_too).number == 5


def test_the_estimator_finds_its_way() -> None:
    pytest.importorskip("optuna")
    plan = plan_of(campaign(trials=60, parameters={"mappo.ppo.clip": {"low": 0.0, "high": 1.0}}))
    trials: list[Trial] = []
    for _ in range(40):
        asked = proposed(plan, trials)
        score = -((asked.values["mappo.ppo.clip"] - 0.7) ** 2)
        trials.append(Trial(number=asked.number, values=asked.values, state=TrialState.SCORED, score=score))
    late = [trial.score for trial in trials[20:] if trial.score is not None]
    early = [trial.score for trial in trials[:8] if trial.score is not None]
    assert sum(late) / len(late) > sum(early) / len(early)
    assert max(late) > -0.005


def test_without_optuna_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"tuning needs optuna, which is not installed\. Install the extra tune"):
        proposed(plan_of(campaign()), [])
