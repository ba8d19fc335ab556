"""What Slurm's controller knows of a user's jobs: one question for all of them, now and then.

It knows every job that waits or runs, on clusters without accounting, too, and forgets one some minutes after its end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import time

_log = logging.getLogger(__name__)

ANSWER_S = 30.0
"""How long Slurm's commands may take."""
FORGOTTEN = "no longer known"
"""The state of a job that the controller answers nothing of: it ended some time ago."""
_ENDED = {
    FORGOTTEN,
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}


class Queue:
    """States of jobs, asked for at most every `ask_s`."""

    def __init__(self, *, ask_s: float) -> None:
        self._ask_s = ask_s
        self._asking = asyncio.Lock()
        self._asked = -float("inf")
        self._states: dict[str, str] | None = None
        self._answers = True

    async def end(self, number: str) -> str | None:
        """The state in which a job ended; None for one that waits or runs, or while the controller does not answer.

        What it knew at most `ask_s` ago counts, so do not ask for a job that is younger.
        """
        async with self._asking:
            if time.monotonic() - self._asked >= self._ask_s:
                self._asked = time.monotonic()
                self._states = await asyncio.to_thread(self._ask)
        if self._states is None:
            return None
        state = self._states.get(number, FORGOTTEN)
        return state if state in _ENDED else None

    def _ask(self) -> dict[str, str] | None:
        command = ["squeue", "--noheader", "--states=all", "--format=%A %T", f"--user={os.getuid()}"]
        try:
            told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=ANSWER_S).stdout
        except (OSError, subprocess.SubprocessError) as error:
            if self._answers:
                said = getattr(error, "stderr", None) or str(error)
                _log.warning("Slurm does not say what its jobs do, and is asked again: %s", " ".join(said.split()))
            self._answers = False
            return None
        self._answers = True
        return {number: state for number, _, state in (line.strip().partition(" ") for line in told.splitlines())}
