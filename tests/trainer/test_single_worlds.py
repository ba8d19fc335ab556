"""Matrix games, gymnasium's worlds and football, shrunken, from the first step to bundles that play by themselves."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from combinations import a_few
from tiny_team import SMALL_OF, start

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

LIMIT = 12
FOOTBALL = "mappo-football-pass_and_shoot_with_keeper"
WORLDS = {
    "mappo-matrix-climbing": "numpy",
    "mamba-matrix-qtran": "numpy",
    "vdn-matrix-penalty": "numpy",
    "qmix-gymnasium-walker2d-6x7": "mujoco",
    "mappo-gymnasium-cartpole": "gymnasium",
    "mamba-gymnasium-cartpole": "gymnasium",
    "mappo-gymnasium-lunarlander": "Box2D",
    "mappo-mujoco-walker2d": "mujoco",
    FOOTBALL: "gfootball",
    "mappo-gymnasium-walker2d-6x7": "mujoco",
}


@pytest.mark.parametrize(
    "preset", a_few(WORLDS, "mamba-matrix-qtran", "mappo-gymnasium-cartpole", "mappo-mujoco-walker2d", FOOTBALL)
)
def test_it_trains_and_its_bundles_play(preset: str, tmp_path: Path) -> None:
    package = WORLDS[preset]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    name = load_settings(preset, []).environment.id
    small = SMALL_OF[load_settings(preset, []).algorithm]
    parameters = {"length": 6} if "matrix" in preset else {"step_limit": LIMIT}
    (limit,) = parameters.items()
    settings = load_settings(
        preset,
        [*small, f"environment.parameters.{limit[0]}={limit[1]}", "environment.copies=2", "schedule.env_steps=72"],
    )
    training = start(tmp_path / "run", settings)
    summary = training.run()
    training.close()
    assert summary.evaluation is not None
    assert np.isfinite(summary.evaluation.outcome).all()
    folder = RunFolder.open(tmp_path / "run")
    losses = [record.get("policy/surrogate", record.get("value/loss", np.nan)) for record in folder.history()]
    assert np.isfinite(losses).any(), "it learned"
    team = LocalTeam(load_team(folder.bundles), run_seed=5, greedy=True)
    world = World(registry.make(name, count=1, parameters=parameters))
    results = [team.run_episode(world, episode=episode).result for episode in range(2)]
    assert all(np.isfinite(result.team_return) for result in results)
