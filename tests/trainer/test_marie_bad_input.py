"""MARIE's bad input, tried as commands: each one sentence and an exit code; a collapsed codebook is told with its
figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_team import SMALL_MARIE, small_settings, start

from heliograph.cli import main

REFUSED, CHECKPOINT = 2, 9


def with_all(overrides: tuple[str, ...]) -> list[str]:
    return [word for each in overrides for word in ("--set", each)]


def train(preset: str, *overrides: str, folder: Path | None = None) -> int:
    """The exit code of the command, which without a folder only resolves the settings."""
    where = ["--dry-run"] if folder is None else ["--folder", str(folder), *with_all(SMALL_MARIE)]
    return main(["train", "--preset", preset, *where, *with_all(overrides)])


def sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line that a command has told a person."""
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("heliograph "))
    return line


@pytest.mark.parametrize(
    ("preset", "overrides", "told"),
    [
        ("marie-smax-3m-published", [], "unknown preset 'marie-smax-3m-published'. Did you mean "),
        ("marie-smax-3m-cpu", ["marie.tokenizer.discretisation=codes"], "Input should be 'vq', 'bins' or 'fsq'"),
        (
            "marie-smax-3m-cpu",
            ["marie.policy.horizon=25"],
            "policy.horizon = 25 imagines 26 states, but model.context = 8 has positions for fewer",
        ),
        (
            "marie-mujoco-halfcheetah-2x3-cpu",
            ["marie.tokenizer.discretisation=bins"],
            "tokenizer.discretisation = bins does not go with continuous actions",
        ),
        (
            "marie-smax-3m-cpu",
            ["marie.tokenizer.observations=standardised", "marie.tokenizer.discretisation=bins"],
            "tokenizer.observations = standardised does not go with tokenizer.discretisation = bins",
        ),
        (
            "marie-smax-3m-cpu",
            ["marie.tokenizer.observations=standardised", "marie.tokenizer.clamp=imagined"],
            "tokenizer.clamp = imagined holds reconstructions to [-1, 1]",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_made(
    preset: str, overrides: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(preset, *overrides) == REFUSED
    assert told in sentence(capsys)


def test_bins_go_with_actions_in_levels_and_with_worlds_of_which_nothing_is_known_yet() -> None:
    bins = "marie.tokenizer.discretisation=bins"
    assert train("marie-gymnasium-walker2d-6x7", bins) == 0
    assert train("marie-relay-sighted", bins) == 0


def test_a_checkpoint_with_a_codebook_of_another_size_is_refused_by_who_goes_on_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    start(folder, small_settings("marie-relay-sighted", small=SMALL_MARIE), stop_after=4).run()
    file = folder / "settings.json"
    document = json.loads(file.read_text())
    document["marie"]["tokenizer"]["codebook"]["size"] = 9
    file.write_text(json.dumps(document))
    for command in ("train", "export"):
        capsys.readouterr()
        assert main([command, "--resume", str(folder)] if command == "train" else [command, str(folder)]) == CHECKPOINT
        assert "8 codes of 4 numbers, where the settings say 9 codes of 4 numbers" in sentence(capsys)


def test_an_observation_outside_the_bins_ends_a_training_with_the_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = ("marie.tokenizer.discretisation=bins", "marie.tokenizer.bins.highest=0.5", "schedule.env_steps=200")
    assert train("marie-relay-sighted", *narrow, folder=tmp_path / "run") == REFUSED
    assert "an observation holds 1, which is outside the bins' range [-1, 0.5]" in sentence(capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_a_collapsed_codebook_is_a_warning_with_the_figure_and_training_goes_on(tmp_path: Path) -> None:
    alone = with_all((*SMALL_MARIE, "marie.tokenizer.codebook.size=1", "schedule.env_steps=60"))
    run = ["train", "--preset", "marie-relay-sighted", "--folder", str(tmp_path / "run"), *alone]
    command = [sys.executable, "-m", "heliograph", *run]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stderr
    (told,) = (line for line in shown.splitlines() if "codebook has collapsed" in line)
    assert told.endswith("1 of 1 codes chosen in a batch, perplexity 1.00")
