"""MAZero's bad input, tried as commands: each one sentence and an exit code, or a warning with its figure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_team import SMALL_MAZERO, small_settings, start

from heliograph.cli import main

REFUSED, WORLD = 2, 5


def with_all(overrides: tuple[str, ...]) -> list[str]:
    return [word for each in overrides for word in ("--set", each)]


def told_while_training(folder: Path, *overrides: str) -> str:
    """What the command tells of, as a process of its own, while it trains to its end."""
    arguments = ["--preset", "mazero-matrix-climbing", "--folder", str(folder)]
    settings = with_all((*SMALL_MAZERO, *overrides))
    command = [sys.executable, "-m", "heliograph", "train", *arguments, *settings]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stderr


def test_a_search_of_no_simulations_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    none = with_all(("mazero.search.simulations=0",))
    assert main(["train", "--preset", "mazero-smax-3m-cpu", "--dry-run", *none]) == REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert "mazero.search.simulations: Input should be greater than 0 (got 0)" in line


def test_continuous_actions_are_refused_before_anything_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--preset", "mazero-smax-3m-cpu", "--environment", "halfcheetah-2x3", "--dry-run"]
    assert main(command) == REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert "mazero knows discrete actions alone, and those of halfcheetah-2x3 are continuous" in line


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_more_samples_than_joint_actions_and_a_support_that_returns_outgrow_are_told_once_each(tmp_path: Path) -> None:
    shown = told_while_training(
        tmp_path / "run",
        "schedule.env_steps=80",
        "mazero.search.samples=30",
        "mazero.targets.reward_scale=1000",
    ).splitlines()
    (samples,) = (line for line in shown if "mazero.search.samples" in line)
    assert "samples = 30 draws more joint actions than the 9 that matrix-climbing has" in samples
    clipped = [line for line in shown if "targets lie beyond their support and are clipped share=" in line]
    assert clipped


@pytest.mark.slow
def test_a_world_that_leaves_an_agent_no_action_ends_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = ["--environment", "stuck_game:make", "--allow-environment", "stuck_game:make"]
    small = with_all(tuple(each for each in SMALL_MAZERO if not each.startswith("environment.id")))
    assert main(["train", "--preset", "mazero-relay", *world, "--folder", str(tmp_path / "run"), *small]) == WORLD
    assert "allows no action" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_that_says_what_is_no_number_is_told_with_the_root_of_the_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    start(folder, small_settings("mazero-relay", small=SMALL_MAZERO), stop_after=4).run()
    assert main(["export", str(folder)]) == 0
    (weights,) = folder.glob("checkpoints/*/tensors.safetensors")
    tensors = load_file(weights)
    (bias,) = (name for name in tensors if name.endswith("model.reward.2.bias") and "delayed" not in name)
    tensors[bias] = torch.full_like(tensors[bias], torch.nan)
    save_file(tensors, weights)
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--search", "--episodes", "2"]) != 0
    assert "not finite in simulation 1 of root 0" in capsys.readouterr().err
