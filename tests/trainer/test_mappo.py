"""MAPPO: agents that share a network, know who they are, and exchange nothing; as processes, too."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from made_up_team import MADE_UP as SPEC
from tiny_team import SMALL_MAPPO, small_settings, start

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from trainer.algorithms.model_free.critics import CentralCritic
from trainer.algorithms.model_free.mappo import Mappo
from trainer.algorithms.model_free.settings import MappoSettings
from trainer.policy.draws import GreedyDraws
from trainer.training.run_folder import RunFolder


def test_agents_that_see_and_remember_the_same_differ_by_who_they_are_and_hear_nobody() -> None:
    torch.manual_seed(0)
    algorithm = Mappo(MappoSettings(), SPEC, device=torch.device("cpu"))
    observation = torch.randn(1, 1, 5).expand(1, 3, 5).clone()
    agent_inputs = {
        "action_mask": torch.ones(1, 3, 4, dtype=torch.bool),
        "hears": None,
        "first": torch.zeros(1, dtype=torch.bool),
        "draws": GreedyDraws(),
    }
    state = algorithm.network.initial_state(1)
    alike = algorithm.network.act(state, observation=observation, **agent_inputs)[1].hidden
    assert not torch.equal(alike[0, 0], alike[0, 1])
    observation[:, 1] += 1
    other = algorithm.network.act(
        replace(state, action=torch.tensor([[0, 3, 0]])), observation=observation, **agent_inputs
    )[1].hidden
    assert (other != alike).any(-1).tolist() == [[False, True, False]]


@pytest.mark.parametrize("state_size", [7, 0])
def test_the_critic_reads_the_state_or_else_what_everybody_sees(state_size: int) -> None:
    torch.manual_seed(0)
    critic = CentralCritic(replace(SPEC, state_size=state_size), hidden=16)
    observation, state = torch.randn(2, 3, 5), torch.randn(2, 7) if state_size else None
    values = critic(observation, state)
    assert values.shape == (2, 3)
    moved = observation.clone()
    moved[:, 1] += 1
    assert (critic(moved, state) != values).all(0).tolist() == [not state_size, True, not state_size]
    if state is not None:
        assert (critic(observation, state + 1) != values).all()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mappo") / "run"
    training = start(path, small_settings("mappo-relay-sighted", small=SMALL_MAPPO))
    summary = training.run()
    training.close()
    assert summary.links_cut is None, "there is nothing to cut"
    return path


@pytest.mark.slow
def test_its_bundles_take_no_messages(finished: Path) -> None:
    folder = RunFolder.open(finished)
    assert any("policy/entropy" in record for record in folder.history())
    for bundle in load_team(folder.bundles):
        assert (bundle.manifest.algorithm, bundle.manifest.message, bundle.tables) == ("mappo", None, None)
        assert [(state.name, state.shape) for state in bundle.manifest.state] == [("hidden", (12,)), ("action", (5,))]
        names = [each.name for each in onnx.load_from_string(bundle.graph).graph.input]
        assert names == ["observation", "action_mask", "first", "greedy", "state.hidden", "state.action", "noise"]


@pytest.mark.slow
def test_as_processes_a_team_plays_as_it_does_in_one(finished: Path, tmp_path: Path) -> None:
    bundles, report = RunFolder.open(finished).bundles, tmp_path / "report.json"
    command = [sys.executable, "-m", "heliograph", "run", "--bundles", str(bundles), "--episodes", "3", "--seed", "5"]
    done = subprocess.run(
        [*command, "--sampled", "--json", str(report)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(report.read_text())["summaries"][0]
    team = LocalTeam(load_team(bundles), run_seed=5, greedy=False)
    world = World(registry.make("relay", count=1, parameters={"cue": "own"}))
    alone = [team.run_episode(world, episode=episode).result.team_return for episode in range(3)]
    assert summary["team_return"]["mean"] == pytest.approx(np.mean(alone), abs=1e-6)
