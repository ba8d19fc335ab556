"""Teams whose actions are vectors of unequal sizes, from collecting to bundles that act alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from equal_runs import assert_equal_runs
from tiny_team import SMALL, SMALL_MABL, resume, small_settings, start

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from trainer.experience.replay import Replay
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings

pytestmark = pytest.mark.slow

WORLD = ('environment.id="steering_team:make"', "environment.parameters={}")
PLANNING = ("mag.candidates=2", "mag.horizon=2", "mag.predictor_updates=1")
ALGORITHMS = {"mamba": ("relay", SMALL), "mabl": ("mabl-relay", SMALL_MABL), "mag": ("mag-relay", (*SMALL, *PLANNING))}


def settings_for(algorithm: str, *, env_steps: int = 48) -> TrainSettings:
    preset, small = ALGORITHMS[algorithm]
    loss = f"{'mabl' if algorithm == 'mabl' else 'mamba'}.loss.reconstruction_loss=squared"
    return small_settings(preset, *WORLD, loss, env_steps=env_steps, small=small)


@pytest.fixture(scope="module", params=ALGORITHMS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Replay]:
    """A run, and what it has seen."""
    training = start(tmp_path_factory.mktemp("finished") / "run", settings_for(request.param))
    training.run()
    training.close()
    return training.folder, training.replay


def test_it_learns(finished: tuple[RunFolder, Replay]) -> None:
    learned = [record for record in finished[0].history() if "policy/entropy" in record]
    assert learned
    assert all(np.isfinite(record["policy/surrogate"]) and np.isfinite(record["model/available"]) for record in learned)


def test_a_dimension_that_an_agent_has_not_is_never_used(finished: tuple[RunFolder, Replay]) -> None:
    window = finished[1].sample(np.random.default_rng(0)).window
    there = window.action_mask.any(0).any(0)  # [N, k]
    assert there.tolist() == [[True, True], [True, False]]
    assert (window.action.flatten(0, 1).std(0)[there] > 0).all()
    assert (window.action[..., 1, 1] == 0).all()


def test_agents_know_their_bounds_and_act_in_their_world(finished: tuple[RunFolder, Replay]) -> None:
    bundles = load_team(finished[0].bundles)
    assert [bundle.manifest.actions.low for bundle in bundles] == [(-2.0, -2.0), (0.0, 0.0)]
    assert [bundle.manifest.actions.high for bundle in bundles] == [(2.0, 2.0), (0.5, 0.0)]
    world = World(registry.make("steering_team:make", count=1, parameters={}, permission=EVERYTHING))
    team = LocalTeam(bundles, run_seed=3, greedy=False)
    returns = [team.run_episode(world, episode=episode).result.team_return for episode in range(4)]
    assert len(set(returns)) == 4, "the episodes differ from one another"


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    start(tmp_path / "whole", settings_for("mamba", env_steps=10_000), stop_after=4).run()
    start(tmp_path / "parts", settings_for("mamba", env_steps=10_000), stop_after=3).run()
    resume(tmp_path / "parts", stop_after=4).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
