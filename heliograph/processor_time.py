"""Processor time of this process and of those that it has started, such as workers and simulators.

Beside wall time it says what a result has cost, whatever else the machine did.  Any package may import this.
"""

from __future__ import annotations

import os
from pathlib import Path

_MAX_DEPTH = 8


def processor_seconds() -> float:
    """Seconds so far, of all threads.

    Children that still run are counted where the system tells of them (Linux); elsewhere once they have ended.
    """
    times = os.times()
    ended = times.children_user + times.children_system
    return times.user + times.system + ended + sum(_spent(child, _MAX_DEPTH) for child in _children(os.getpid()))


def _spent(process: int, depth: int) -> float:
    """Of a process, its children that have ended, and those that run."""
    try:
        # Its name, in parentheses, may hold spaces and parentheses itself.
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        own = sum(int(fields[place]) for place in range(11, 15)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # it has just ended
        return 0.0
    return own + (sum(_spent(child, depth - 1) for child in _children(process)) if depth else 0.0)


def _children(process: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except (OSError, ValueError):
        return found
    return found
