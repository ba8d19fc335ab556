"""Tests that need a container engine: they build the images and run them.  Skipped, and said so, without one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import BUILD_DEADLINE_S, ROOT, Log, Project, docker, inspect, status

NO_ENGINE = "images and compose are NOT tested: name a container engine with DOCKER_HOST"


@pytest.fixture(scope="session")
def images() -> None:
    """The images of the working tree."""
    if not os.environ.get("DOCKER_HOST") or shutil.which("docker") is None:
        pytest.skip(NO_ENGINE)
    docker("info")
    subprocess.run(["make", "images"], cwd=ROOT, check=True, timeout=BUILD_DEADLINE_S)


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An overlay with steps slow enough to do something meanwhile."""
    path = tmp_path_factory.mktemp("overlay") / "compose.slow.yaml"
    options = "--period-s 0.1 --log-level info"
    path.write_text(f"services: {{coordinator: {{environment: {{COORDINATOR_OPTIONS: {options}}}}}}}\n")
    return path


@pytest.fixture(scope="session")
def project(images: None) -> Iterator[Project]:
    """One for all tests, so that a team is trained once."""
    with Project(preset="relay-signal", episodes=50) as project:
        yield project


@pytest.fixture(scope="session")
def interrupted(project: Project) -> tuple[int, dict[str, Any]]:
    """How the trainer ended that Ctrl-C met while it trained into an empty volume, and what its run says of itself."""
    with Log(project.command("up", "--no-build"), environment=project.environment({})) as up:
        up.until("outcome")
        up.process.send_signal(signal.SIGINT)
        up.process.wait(60)
    return inspect("container", project.container("trainer"))["State"]["ExitCode"], status(project)


@pytest.fixture(scope="session")
def first_up(project: Project, interrupted: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    """What the first `up` comes to that goes to its end: it trains on from where another was interrupted."""
    return project.compose("up", "--no-build")
