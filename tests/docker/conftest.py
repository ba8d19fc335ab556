"""Tests that need a container engine: they build the images and run them.  Skipped, and said so, without one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from engine import BUILD_DEADLINE_S, ROOT, docker

NO_ENGINE = "images and compose are NOT tested: name a container engine with DOCKER_HOST"


@pytest.fixture(scope="session")
def images() -> None:
    """The images of the working tree."""
    if not os.environ.get("DOCKER_HOST") or shutil.which("docker") is None:
        pytest.skip(NO_ENGINE)
    docker("info")
    subprocess.run(["docker", "compose", "build", "--quiet"], cwd=ROOT, check=True, timeout=BUILD_DEADLINE_S)
