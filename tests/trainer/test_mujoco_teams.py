"""Every method trains on a robot of MAMuJoCo, and its bundles move that robot as processes as they do in one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from combinations import a_few
from tiny_team import SMALL_OF

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.cli import main
from heliograph.environments import registry
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

ROBOTS = {
    "mamba": "halfcheetah-2x3",
    "mabl": "humanoid-9-8",
    "mag": "walker2d-2x3",
    "independent": "halfcheetah-3x2",
    "mappo": "humanoidstandup-9-8",
    "attention-ppo": "humanoid-9-8",
    "marie": "walker2d-2x3",
}
HELD = {"halfcheetah-2x3": [3, 3], "walker2d-2x3": [3, 3], "halfcheetah-3x2": [2, 2, 2]}
"""Joints of each agent, where it is not nine and eight."""
STEPS, EPISODES, SEED = 6, 2, 5


# A landing asks one that talks: MAPPO learns a robot in test_single_worlds, and MARIE gives vectors in test_mixed_team.
@pytest.mark.parametrize("method", a_few(ROBOTS, "mamba"))
def test_it_trains_and_moves_the_robot_as_processes(method: str, tmp_path: Path) -> None:
    robot = ROBOTS[method]
    preset = f"{method}-mujoco-{robot}-cpu"
    small = (*SMALL_OF[load_settings(preset, []).algorithm], f"environment.parameters.step_limit={STEPS}")
    overrides = [part for one in (*small, "schedule.env_steps=48") for part in ("--set", one)]
    assert main(["train", "--preset", preset, "--folder", str(tmp_path / "run"), *overrides]) == 0
    folder = RunFolder.open(tmp_path / "run")
    assert any(np.isfinite(record.get("policy/surrogate", np.nan)) for record in folder.history()), "it learned"

    team = load_team(folder.bundles)
    assert {bundle.manifest.environment for bundle in team} == {robot}
    assert [np.count_nonzero(bundle.manifest.actions.high) for bundle in team] == HELD.get(robot, [9, 8])
    assert all(
        (bundle.manifest.message is None) == (method in ("mabl", "independent", "mappo", "marie")) for bundle in team
    )

    command = [sys.executable, "-m", "heliograph", "run", "--bundles", str(folder.bundles), "--sampled"]
    command += ["--episodes", str(EPISODES), "--seed", str(SEED), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (summary,) = json.loads((tmp_path / "report.json").read_text())["summaries"]
    alone = LocalTeam(team, run_seed=SEED, greedy=False)
    world = World(registry.make(robot, count=1, parameters={"step_limit": STEPS}))
    returns = [alone.run_episode(world, episode=episode).result.team_return for episode in range(EPISODES)]
    assert summary["team_return"]["mean"] == pytest.approx(np.mean(returns), abs=1e-6)
    assert (summary["steps"], summary["illegal"], summary["idle"]) == (STEPS * EPISODES, 0, 0)
