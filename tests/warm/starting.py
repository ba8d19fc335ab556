"""The servers of warm commands, each started by the worker that needs it first, for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from child_environment import importing_test_modules
from made_once import made_once

HERE = Path(__file__).parent
ADDRESS = "HELIOGRAPH_TESTS_WARM"
PLAYING_ADDRESS = "HELIOGRAPH_TESTS_WARM_PLAYING"


def variables(factory: pytest.TempPathFactory) -> dict[str, str]:
    """With these a process, and what it starts, hands over commands that train or play; none where that cannot be."""
    pytest.importorskip("torch")
    return _variables(factory, "training", ADDRESS)


def playing_variables(factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same for commands that play, and for nodes."""
    return _variables(factory, "playing", PLAYING_ADDRESS)


def at_work_for(process: int) -> int:
    """The fork to which a process has handed over its command; itself, if it runs that.

    For SIGSTOP, SIGCONT and SIGKILL, which nobody can pass on.  The process ends after it, and likewise.
    """
    for address in filter(None, map(os.environ.get, (ADDRESS, PLAYING_ADDRESS))):
        with suppress(FileNotFoundError):
            return int(Path(address).with_name(str(process)).read_text(encoding="ascii"))
    return process


def _variables(factory: pytest.TempPathFactory, kind: str, name: str) -> dict[str, str]:
    if not hasattr(os, "pidfd_open"):  # Linux has it
        return {}
    user = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()

    def start(folder: Path) -> None:
        subprocess.run(
            [sys.executable, HERE / "server.py", kind, folder / "socket", str(user)],
            env=importing_test_modules(), check=True,
        )  # fmt: skip

    places = [str(HERE / "path"), *filter(None, [os.environ.get("PYTHONPATH")])]
    folder = made_once(factory, f"warm-{kind}", start)
    return {name: str(folder / "socket"), "PYTHONPATH": os.pathsep.join(places)}
