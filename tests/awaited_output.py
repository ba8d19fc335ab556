"""Waits for what a process says, and no longer than it may take."""

from __future__ import annotations

import subprocess
import threading

import pytest


def await_line(running: subprocess.Popen[str], text: str, *, deadline_s: float) -> str:
    """Read stderr until a line holds `text`, and return that; a process that does not say it in time is killed."""
    assert running.stderr is not None
    watchdog = threading.Timer(deadline_s, running.kill)
    watchdog.start()
    seen = []
    for line in running.stderr:
        seen.append(line)
        if text in line:
            watchdog.cancel()
            return line
    watchdog.cancel()
    pytest.fail(f"ended without {text!r}: {''.join(seen)}")
