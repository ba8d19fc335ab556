"""The example of an environment of one's own, through the registry and from the folder a user would stand in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_environment import make

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING

ROOT = Path(__file__).parents[2]


def test_the_example_plays_with_unequal_sizes_padded_and_every_agent_named() -> None:
    environment = registry.make("own_environment:make", count=3, permission=EVERYTHING)
    spec = environment.spec
    # The longest observation has 3 numbers, and a one-hot of the two agents says whose it is.
    assert (spec.agents, spec.observation_size, spec.actions, spec.has_action_mask) == (2, 3 + 2, 3, True)
    agent_inputs = environment.reset(np.array([5, 6, 5]))
    np.testing.assert_array_equal(agent_inputs.observation[0], agent_inputs.observation[2])
    np.testing.assert_array_equal(agent_inputs.observation[0, 1], [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(agent_inputs.action_mask[0], [[True, False, False], [True, True, True]])
    door = agent_inputs.observation[:, 0, :3].argmax(1)
    for step in range(spec.episode_limit):
        transition = environment.step(np.stack([np.zeros(3, dtype=np.int64), door], axis=1))
        np.testing.assert_array_equal(transition.reward, 1.0)
        assert transition.over.all() == (step == spec.episode_limit - 1)
    np.testing.assert_array_equal(transition.outcome, 4.0)
    assert transition.truncated.all()
    assert not transition.terminated.any()


def test_the_example_passes_pettingzoos_own_test(parallel_api_test: Callable[..., None]) -> None:
    parallel_api_test(make(), num_cycles=20)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_a_command_finds_an_environment_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text((ROOT / "examples" / "own_environment.py").read_text())
    command = [sys.executable, "-P", "-m", "heliograph", "train", "--environment", "mine:make", "--folder", "run"]
    command += [f"--set=mamba.model.{name}=16" for name in ("hidden", "recurrent")]
    command += ["--set=schedule.env_steps=200", "--set=replay.minimum=40", "--set=evaluation.final_episodes=8"]
    command += ["--set=mamba.model_updates=1", "--set=schedule.steps_per_iteration=10"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "bundles" / "agent-1" / "step.onnx").is_file()
