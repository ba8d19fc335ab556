"""What the process of a run has said last, by its log."""

from __future__ import annotations

import os
from pathlib import Path

from heliograph.reading import LOG, open_plain, printable
from heliograph.run_status import WAY_ON

TAIL_BYTES = 4096
MOST = 120
"""Characters of a line that are told."""


def size_of(log: Path) -> int:
    """Bytes that are there already; 0 if there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def newest_line(log: Path, *, beyond: int) -> str:
    """The last line that is whole after so many bytes, without what a terminal would obey; empty if there is none."""
    try:
        with open_plain(log, limit=LOG) as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(beyond, end - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except (OSError, ValueError):  # there is none yet, or what is in its place is none
        return ""
    whole, _, _ = text.rpartition("\n")
    lines = [printable(line).strip() for line in whole.splitlines()]
    newest = next((line for line in reversed(lines) if line and not line.startswith(WAY_ON)), "")
    return newest if len(newest) <= MOST else f"{newest[: MOST - 1]}…"
