"""Teams of MAZero: runs that go on, bundles that equal their networks and are silent, evaluation by search."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from equal_runs import assert_equal_runs
from mazero_team import SEEING, mazero
from tiny_team import SMALL_MAZERO, resume, small_settings, start

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.episodes import EpisodeResults
from heliograph.errors import WorldError
from trainer.algorithms.mazero.mazero import Mazero
from trainer.commands.central_evaluator import CentralEvaluator
from trainer.export.bundles import export_team
from trainer.training.evaluation import evaluate
from trainer.training.run_folder import RunFolder


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ("schedule.overlap=false", "mazero.target_waits=true", "mazero.model.frames=2", "mazero.targets.reanalyse=0.5"),
        ("schedule.overlap=true", "mazero.model.dropout=0.2", "mazero.search.root=halving"),
    ],
    ids=["waiting", "overlapping"],
)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path, more: tuple[str, ...]) -> None:
    chosen = small_settings("mazero-relay", "replay.capacity=120", *more, env_steps=10_000, small=SMALL_MAZERO)
    start(tmp_path / "whole", chosen, stop_after=9).run()
    start(tmp_path / "parts", chosen, stop_after=4).run()
    for stop in (6, 9):
        resume(tmp_path / "parts", stop_after=stop).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert any("model/value_loss" in record for record in RunFolder.open(tmp_path / "parts").history())


OF_THREE = {"agents": 3, "cue": "own"}


@pytest.fixture(scope="module", params=[{}, SEEING, SEEING | {"shared": False}], ids=["bare", "seeing", "own"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mazero, Path]:
    """A team whose actions depend on what is seen, and its bundles."""
    algorithm = mazero(registry.make("relay", count=1, parameters=OF_THREE).spec, model=request.param)
    with torch.no_grad():
        for parameter in algorithm.model.policy.parameters():
            parameter.mul_(4.0 if parameter.dim() > 1 else 1.0)
    folder = tmp_path_factory.mktemp("exported")
    export_team(algorithm, algorithm.spec, folder, run_id="equal", training_step=0)
    return algorithm, folder


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_the_networks_of_a_team_and_bundles_of_agents_alone_play_the_same_episodes(
    exported: tuple[Mazero, Path], greedy: bool
) -> None:
    algorithm, folder = exported
    central = evaluate(
        algorithm.policy(),
        registry.make("relay", count=16, parameters=OF_THREE),
        episodes=24,
        seed=11,
        greedy=greedy,
        device=torch.device("cpu"),
    )
    team = LocalTeam(load_team(folder), run_seed=11, greedy=greedy)
    world = World(registry.make("relay", count=1, parameters=OF_THREE))
    results = [team.run_episode(world, episode=episode).result for episode in range(24)]
    assert [result.outcome for result in results] == central.outcome.tolist()
    np.testing.assert_allclose([result.team_return for result in results], central.team_return, rtol=0, atol=1e-5)
    assert len(np.unique(central.team_return.round(4))) >= 3, "the episodes differ from one another"


@pytest.mark.slow
def test_nodes_of_a_trained_team_play_the_same_episodes_and_send_nothing(tmp_path: Path) -> None:
    chosen = small_settings("mazero-relay-sighted", "mazero.model.frames=2", small=SMALL_MAZERO)
    training = start(tmp_path / "run", chosen)
    assert training.run().links_cut is None, "there is nothing to cut"
    training.close()
    bundles, told = RunFolder.open(tmp_path / "run").bundles, tmp_path / "told.json"
    for bundle in load_team(bundles):
        assert (bundle.manifest.algorithm, bundle.manifest.message, bundle.tables) == ("mazero", None, None)
        names = [each.name for each in onnx.load_from_string(bundle.graph).graph.input]
        assert names == ["observation", "action_mask", "first", "greedy", "state.frames", "state.action", "noise"]
    options = ["--bundles", str(bundles), "--episodes", "3", "--seed", "5", "--sampled", "--json", str(told)]
    command = [sys.executable, "-m", "heliograph", "run", *options]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "bits per agent-step" in shown.stdout
    (summary,) = json.loads(told.read_text())["summaries"]
    assert (summary["episodes"], summary["bits_per_agent_step"], summary["message_bits"]) == (3, 0, None)
    team = LocalTeam(load_team(bundles), run_seed=5, greedy=False)
    world = World(registry.make("relay", count=1, parameters={"cue": "own"}))
    alone = [team.run_episode(world, episode=episode).result.team_return for episode in range(3)]
    assert summary["team_return"]["mean"] == pytest.approx(np.mean(alone), abs=1e-6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("mazero") / "run"
    start(run, small_settings("mazero-relay-sighted", small=SMALL_MAZERO, env_steps=48)).run()
    return run


@pytest.mark.slow
def test_a_search_is_evaluated_beside_the_bundles_and_told_what_it_would_take(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told.json"
    command = ["evaluate", str(trained), "--search", "--episodes", "4", "--json", str(told)]
    assert main([*command, "--central"]) == 0
    document, shown = json.loads(told.read_text()), capsys.readouterr().out
    assert "bundles, and the trainer's centralised search" in shown
    assert "would take 517 bits up and 3 down per agent-step" in shown
    assert document["search_bits_per_agent_step"] == {"up": 16 * 32 + 5, "down": 3}
    assert main(["export", str(trained)]) == 0
    assert (
        main(["bandwidth", "measure", str(trained), "--local", "--episodes", "2", "--out", str(tmp_path / "bits")]) == 0
    )
    shown, report = capsys.readouterr().out, json.loads((tmp_path / "bits" / "report.json").read_text())
    designs = {design["name"]: design["bits_per_agent_step"] for design in report["alternatives"]}
    assert "central search in the learned model" in shown
    assert designs["nothing: each agent acts alone (this team)"] == 0
    assert designs["central search in the learned model"] in (16 * 32 + 3, 16 * 32 + 5 + 3)
    (central,), (search,) = document["central"], document["search"]
    assert central["outcome"] == document["summaries"][0]["outcome"]
    assert main([*command, "--policy", "both"]) == 0
    scores = json.loads(told.read_text())["scores"]
    assert [(score["team"], score["policy"]) for score in scores] == [
        (team, policy) for policy in ("greedy", "sampled") for team in ("each alone",)
    ] + [("all at once, by search", policy) for policy in ("greedy", "sampled")]
    assert scores[2]["outcome"] == search["outcome"], "the same numbers, the same search"


@pytest.mark.parametrize("other", [(), ("--reference", "random")], ids=["one", "several"])
@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (WorldError("lost"), 5)], ids=["stop", "error"])
@pytest.mark.slow
def test_what_ends_the_networks_episodes_costs_none_that_were_finished(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: BaseException,
    code: int,
    other: tuple[str, ...],
) -> None:
    run_episodes = CentralEvaluator.run_episodes

    def until_the_search(self: CentralEvaluator, *given: Any, **more: Any) -> EpisodeResults:
        if more["searching"]:
            raise end
        return run_episodes(self, *given, **more)

    monkeypatch.setattr(CentralEvaluator, "run_episodes", until_the_search)
    told = tmp_path / "told.json"
    command = ["evaluate", str(trained), "--central", "--search", "--episodes", "4", "--json", str(told), *other]
    assert main(command) == code
    document, shown = json.loads(told.read_text()), capsys.readouterr()
    assert document["interrupted"] is (code == 130)
    if other:
        assert [score["team"] for score in document["scores"]] == ["each alone", "all at once"]
    else:
        assert document["summaries"][0]["episodes"] == 4
        assert (len(document["central"]), document["search"]) == (1, [])
    assert "centralised networks" in shown.out
    assert ("interrupted" in (shown.out + shown.err).lower()) is (code == 130)
    assert ("lost" in shown.err) is (code == 5)


@pytest.mark.slow
def test_an_episode_of_the_networks_is_cut_where_one_of_the_bundles_is(trained: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    command = ["evaluate", str(trained), "--search", "--central", "--episodes", "3", "--most-steps", "2"]
    assert main([*command, "--policy", "both", "--json", str(told)]) == 0
    assert {score["cut_episodes"] for score in json.loads(told.read_text())["scores"]} == {3}


@pytest.mark.slow
def test_a_search_of_an_algorithm_without_one_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path / "run", small_settings("relay-signal"), stop_after=2).run()
    assert main(["export", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--search", "--episodes", "2"]) == 2
    assert "was trained by mamba, which has no search" in capsys.readouterr().err
