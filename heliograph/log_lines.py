"""What a process has said last, by the log that its output goes to."""

from __future__ import annotations

import os
from pathlib import Path

from heliograph.reading import LOG, open_plain, printable
from heliograph.run_status import WAY_ON

TAIL_BYTES = 4096


def size_of(log: Path) -> int:
    """Bytes that are there already; 0 if there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def newest_line(log: Path, *, beyond: int = 0, ended: bool = False) -> str:
    """The last line after so many bytes, without what a terminal would obey; empty if there is none.

    A line that is not whole yet is left out, unless the process has `ended`: it may have ended in the middle of one.
    So is what a training says to whoever has begun it by hand.
    """
    try:
        with open_plain(log, limit=LOG) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(beyond, end - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except (OSError, ValueError):  # there is none yet, or what is in its place is none
        return ""
    if not ended:
        text, _, _ = text.rpartition("\n")
    lines = [printable(line).strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith(WAY_ON)), "")
