"""`docker compose up` when training is broken off, or does not get where it must: the next `up` goes on with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import RUN, Project, inspect, status

INTERRUPTED, NOT_REACHED = 130, 10

pytestmark = [pytest.mark.usefixtures("images"), pytest.mark.timeout(1800)]


@pytest.fixture
def untrained(tmp_path: Path) -> Iterator[Project]:
    """A project with nothing in its volume, whose training asks for more than there is."""
    overlay = tmp_path / "compose.short.yaml"
    small = ("env_steps=600", "must_reach=true", "stop_at_outcome=2.0")
    settings = [*(f"schedule.{each}" for each in small), "evaluation.final_episodes=20", "replay.minimum=100"]
    options = " ".join(f"--set {setting}" for setting in settings)
    overlay.write_text(f"services: {{trainer: {{environment: {{TRAIN_OPTIONS: {json.dumps(options)}}}}}}}\n")
    with Project(preset="relay-signal", episodes=10).with_overlay(overlay) as project:
        yield project


def test_up_fails_while_the_target_is_not_reached_and_trains_on_every_time(untrained: Project) -> None:
    for steps in (600, 1200):
        code, said = untrained.compose("up", "--no-build")
        assert code != 0, said
        assert "where 2 was asked for" in said
        assert f"heliograph train --resume {RUN}" in said
        assert inspect("container", untrained.container("trainer"))["State"]["ExitCode"] == NOT_REACHED
        found = status(untrained)
        assert (found["state"], found["exit_code"]) == ("target not reached", NOT_REACHED)
        assert steps <= found["env_steps"] < steps + 100


def test_up_after_an_interruption_goes_on_and_ends_well(
    project: Project, interrupted: tuple[int, dict[str, Any]], first_up: tuple[int, str]
) -> None:
    trainer_ended_with, before = interrupted
    assert (trainer_ended_with, before["state"]) == (INTERRUPTED, "interrupted")
    code, said = first_up
    assert code == 0, said
    assert f"going on with {RUN}: interrupted at step {before['env_steps']}" in said
    assert "success (95 % interval)" in said
    assert status(project)["state"] == "finished"
