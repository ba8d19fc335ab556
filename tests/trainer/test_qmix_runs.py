"""QMIX and VDN from a preset to processes: what they come to where the answer is known, bundles, stops, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from equal_runs import assert_equal_runs
from tiny_team import SMALL_QMIX, resume, small_settings, start

import heliograph
from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import SettingsError
from trainer.algorithms.qmix.qmix import Qmix
from trainer.training.evaluation import evaluate
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

SECOND_TABLE = {"monotonic": 8.0, "sum": 6.5}
"""The best that the mixers make of QMIX's second table ((0, 1), (1, 8)) when all joint choices are tried equally often:
the table itself, and the best sum, ((-1.5, 2.5), (2.5, 6.5)).  The first one pays 7."""


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "kind", "reached"), [("qmix", "monotonic", 8.0), ("vdn", "sum", 7.0)])
def test_in_the_two_step_game_qmix_earns_8_and_vdn_7(tmp_path: Path, preset: str, kind: str, reached: float) -> None:
    """Each ends when its value of the second table is what its mixer can make of it, and what it then earns counts."""
    settings = load_settings(f"{preset}-matrix-two-step", ["evaluation.every=1000", "schedule.env_steps=1000000"])
    training = start(tmp_path / "run", settings)
    algorithm = training.algorithm
    assert isinstance(algorithm, Qmix)
    assert algorithm.settings.mixer.kind == kind
    world = registry.make("matrix-two-step", count=1)
    world.reset(np.array([0]))
    second = world.step(np.array([[1, 0]])).agent_inputs

    @torch.no_grad()
    def value_of_the_second_table() -> float:
        """Of both agents' best actions there, after agent 0's action 1 and agent 1's action 0."""
        network, first = algorithm.team.network, torch.tensor([True])
        state = network.initial_state(1)
        begin = torch.from_numpy(registry.make("matrix-two-step", count=1).reset(np.array([0])).observation)
        seen = torch.from_numpy(second.observation)
        hidden = network.recur(network.seen(begin), state, first)
        state = replace(state, hidden=hidden, action=torch.tensor([[1, 0]]))
        values = network.head(network.recur(network.seen(seen), state, ~first)).max(-1).values
        return float(algorithm.team.mixer(values, seen, torch.from_numpy(world.state())))

    for _ in range(3000):
        training._learn()
        if algorithm.updates > 400 and abs(value_of_the_second_table() - SECOND_TABLE[kind]) < 0.1:
            break
    else:
        pytest.fail(f"the second table is worth {value_of_the_second_table()} after all updates")
    played = evaluate(
        algorithm.policy(),
        registry.make("matrix-two-step", count=4),
        episodes=4,
        seed=0,
        greedy=True,
        device=torch.device("cpu"),
    )
    training.close()
    assert played.outcome.tolist() == [reached] * 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qmix") / "run"
    world = ('environment.id="factored_team:make"', "environment.parameters={}", "schedule.stop_at_outcome=1000.0")
    training = start(path, small_settings("qmix-relay", *world, small=SMALL_QMIX, env_steps=200))
    summary = training.run()
    training.close()
    assert summary.links_cut is None, "there is nothing to cut"
    return path


@pytest.mark.slow
def test_it_learns_and_runs_as_processes_which_do_what_one_process_does(finished: Path) -> None:
    learned = [record for record in RunFolder.open(finished).history() if "value/loss" in record]
    assert learned
    assert all(np.isfinite(record["value/loss"]) for record in learned)
    assert learned[-1]["policy/epsilon"] == pytest.approx(0.05)
    world = "factored_team:make"
    report = heliograph.run(finished, episodes=3, allow_environment=world, greedy=False)
    assert report.summaries[0].episodes == 3
    assert not report.endings
    alone = heliograph.evaluate(finished, episodes=3, allow_environment=world, greedy=False)
    assert alone.summaries[0].outcome == report.summaries[0].outcome


@pytest.mark.slow
def test_the_audit_of_its_processes_finds_no_message_and_the_networks_of_the_run(tmp_path: Path) -> None:
    path, out = tmp_path / "run", tmp_path / "out"
    training = start(path, small_settings("vdn-relay-sighted", small=SMALL_QMIX))
    training.run()
    training.close()
    assert all(bundle.manifest.message is None for bundle in load_team(path / "bundles"))
    assert main(["audit", str(path), "--episodes", "1", "--central", "--out", str(out)]) == 0
    document = json.loads((out / "audit.json").read_text())
    assert document["influence"] == dict.fromkeys(("one_link", "world_graph"), [[None, None]] * 2)
    verdicts = {check["name"]: check["verdict"] for check in document["checks"]}
    assert verdicts["isolation"] == verdicts["one process"] == verdicts["trainer's networks"] == "holds"


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_the_networks_of_a_team_and_bundles_of_agents_alone_run_the_same_episodes(tmp_path: Path, greedy: bool) -> None:
    settings = small_settings("qmix-relay", 'environment.id="waiting_game:make"', small=SMALL_QMIX, env_steps=72)
    training = start(tmp_path / "run", settings)
    training.run()
    central = evaluate(
        training.algorithm.policy(),
        registry.make("waiting_game:make", count=8, permission=EVERYTHING),
        episodes=24,
        seed=11,
        greedy=greedy,
        device=torch.device("cpu"),
    )
    team = LocalTeam(load_team(training.folder.bundles), run_seed=11, greedy=greedy)
    played = World(registry.make("waiting_game:make", count=1, permission=EVERYTHING))
    results = [team.run_episode(played, episode=episode).result for episode in range(24)]
    assert [result.steps for result in results] == central.length.tolist()
    np.testing.assert_allclose([result.team_return for result in results], central.team_return, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("overlap", ["false", "true"])
@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path, overlap: str, optimiser: str) -> None:
    chosen = small_settings(
        "qmix-relay",
        "environment.parameters.length=4",
        f"schedule.overlap={overlap}",
        f"qmix.optimiser.kind={optimiser}",
        env_steps=10_000,
        small=SMALL_QMIX,
    )
    start(tmp_path / "whole", chosen, stop_after=9).run()
    start(tmp_path / "parts", chosen, stop_after=4).run()
    for stop in (6, 9):
        resume(tmp_path / "parts", stop_after=stop).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert any("value/loss" in record for record in RunFolder.open(tmp_path / "parts").history())


def test_continuous_actions_are_refused_in_a_sentence(tmp_path: Path) -> None:
    settings = small_settings("qmix-relay", 'environment.id="steering_team:make"', small=SMALL_QMIX)
    with pytest.raises(
        SettingsError, match="qmix knows discrete actions alone, and those of steering_team:make are co"
    ):
        start(tmp_path / "run", settings)


def test_published_values_are_those_of_its_authors() -> None:
    paper, vdn = load_settings("qmix-smac-3m-paper", []), load_settings("vdn-smac-3m-paper", [])
    chosen = paper.qmix
    assert (paper.schedule.env_steps, paper.replay.batch, paper.replay.absorbing_rows) == (2_000_000, 32, 0)
    assert (chosen.exploration.begin, chosen.exploration.end, chosen.exploration.steps) == (1.0, 0.05, 50_000)
    assert (chosen.td.trace, chosen.td.double, chosen.td.target_every, chosen.td.target_share) == (0.0, True, 200, 1.0)
    assert (chosen.mixer.width, chosen.mixer.hypernetwork, chosen.recurrent) == (32, 64, 64)
    assert (chosen.optimiser.kind, chosen.optimiser.learning_rate) == ("rmsprop", 5e-4)
    assert vdn.qmix == chosen.model_copy(update={"mixer": vdn.qmix.mixer})
    assert (vdn.algorithm, vdn.qmix.mixer.kind, chosen.mixer.kind) == ("qmix", "sum", "monotonic")
