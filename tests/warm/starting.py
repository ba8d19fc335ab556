"""The server of warm commands, started by the worker that needs it first, for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from child_environment import importing_test_modules
from made_once import made_once

HERE = Path(__file__).parent
ADDRESS = "HELIOGRAPH_TESTS_WARM"


def variables(factory: pytest.TempPathFactory) -> dict[str, str]:
    """With these a process, and what it starts, hands commands over; none where that cannot be."""
    pytest.importorskip("torch")
    if not hasattr(os, "pidfd_open"):  # Linux has it
        return {}
    user = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()

    def start(folder: Path) -> None:
        subprocess.run(
            [sys.executable, HERE / "server.py", folder / "socket", str(user)], env=importing_test_modules(), check=True
        )

    places = [str(HERE / "path"), *filter(None, [os.environ.get("PYTHONPATH")])]
    folder = made_once(factory, "warm-commands", start)
    return {ADDRESS: str(folder / "socket"), "PYTHONPATH": os.pathsep.join(places)}
