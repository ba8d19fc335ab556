"""Episodes that an environment never ends are cut by every evaluation after a stated number of steps, and told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scripted_bundle import save_team, scripted_team
from waiting_game import WaitingGame

from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.reference import run_reference
from heliograph.environments.vector import cut_outcome
from heliograph.errors import WorldError

GAME = "waiting_game:make"
ENDLESS = {"endless": True, "all_heard": True}


def test_reference_policies_are_cut_and_count_as_not_won() -> None:
    played = run_reference(GAME, "random", parameters=ENDLESS, episodes=3, seed=0, most_steps=7, permission=EVERYTHING)
    assert played.length.tolist() == [7, 7, 7]
    assert played.cut.all()
    assert not played.outcome.any(), "not won within that many steps"
    ended = run_reference(GAME, "random", parameters={"all_heard": True}, episodes=3, seed=0, permission=EVERYTHING)
    assert not ended.cut.any()


def test_a_cut_episode_counts_its_return_or_as_not_won_and_nothing_that_is_not_known() -> None:
    spec = registry.make("relay", count=1).spec
    assert cut_outcome(spec, 3.5) == 0.0
    assert cut_outcome(SimpleNamespace(outcome="return", id="x"), 3.5) == 3.5  # type: ignore[arg-type]
    with pytest.raises(WorldError, match=r"what it had come to \(arrived\) is not known.*--most-steps N"):
        cut_outcome(SimpleNamespace(outcome="arrived", id="x"), 3.5)  # type: ignore[arg-type]


def test_an_evaluation_of_bundles_is_cut_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team = scripted_team(
        team_size=2, actions=3, observation_size=4, environment=GAME, environment_parameters={"endless": True}
    )
    save_team(team, tmp_path / "team")
    report = tmp_path / "report.json"
    given = ["evaluate", str(tmp_path / "team"), "--environment", GAME, "--episodes", "2", "--most-steps", "9"]
    assert main([*given, "--json", str(report)]) == 0
    (summary,) = json.loads(report.read_text())["summaries"]
    assert (summary["cut_episodes"], summary["steps"]) == (2, 18)
    assert "2 of 2 episodes with messages were cut, which their environment had not ended after 9 steps" in " ".join(
        capsys.readouterr().out.split()
    )
    rows = [*given, "--policy", "both", "--json", str(report)]
    assert main(rows) == 0
    assert [score["cut_episodes"] for score in json.loads(report.read_text())["scores"]] == [2, 2]
    assert "4 episodes were cut" in capsys.readouterr().out


@pytest.mark.slow
def test_processes_are_cut_as_one_process_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    team = scripted_team(
        team_size=2, actions=3, observation_size=4, environment=GAME, environment_parameters={"endless": True}
    )
    save_team(team, tmp_path / "team")
    given = ["--environment", GAME, "--episodes", "2", "--most-steps", "9", "--json", str(tmp_path / "report.json")]
    found = []
    for command in (["evaluate", str(tmp_path / "team")], ["run", "--bundles", str(tmp_path / "team")]):
        assert main([*command, *given]) == 0
        (summary,) = json.loads((tmp_path / "report.json").read_text())["summaries"]
        found.append({key: summary[key] for key in ("cut_episodes", "steps", "outcome", "team_return")})
        assert "2 of 2 episodes with messages were cut" in " ".join(capsys.readouterr().out.split())
    assert found[0] == found[1]
    assert (found[1]["cut_episodes"], found[1]["steps"]) == (2, 18)


@pytest.mark.slow
def test_a_check_of_an_environment_that_neither_ends_nor_tells_a_limit_comes_to_an_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(WaitingGame, "steps_made", 0)
    command = ["environments", "check", "waiting_game:make_without_limit", "--set", "endless=true"]
    assert main([*command, "--episodes", "1"]) == 5
    out = " ".join(capsys.readouterr().out.split())
    assert "episode 0, seed 0: 1000 steps, cut at the limit" in out
    assert "BROKEN a number of steps is found after which every episode is over" in out
    assert "1 of 15 rules broken" in out
    assert WaitingGame.steps_made == 2000, "the episode, and again to see whether its seed repeats it"


@pytest.mark.parametrize("seed", ["99999999999999999999", "-1", "1.5"])
def test_a_seed_that_no_process_could_take_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: str
) -> None:
    for command in (
        ["evaluate", "--reference", "random", "--environment", "relay"],
        ["run", "--bundles", str(tmp_path)],
        ["audit", str(tmp_path)],
        ["demo"],
    ):
        with pytest.raises(SystemExit, match="2"):
            main([*command, f"--seed={seed}"])
        assert f"the seed must be in 0..2**64-1, not {seed}" in capsys.readouterr().err


def test_training_takes_every_seed_that_a_run_can_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    for setting in ("seed=99999999999999999999", "evaluation.seed=18446744073709551615"):
        assert main(["train", "--preset", "relay", "--dry-run", "--set", setting]) == 2
        assert "less than" in capsys.readouterr().err
    assert main(["train", "--preset", "relay", "--dry-run", "--seed", str(2**64 - 1)]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == np.iinfo(np.uint64).max
