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
_BEGUN = {"RUNNING", "COMPLETING"}


class Queue:
    """States of jobs, asked for at most every `ask_s`."""

    def __init__(self, *, ask_s: float) -> None:
        self._ask_s = ask_s
        self._asking = asyncio.Lock()
        self._asked = -float("inf")
        self._states: dict[str, tuple[str, str]] | None = None
        self._answers = True

    async def end(self, number: str, *, ask_s: float | None = None) -> str | None:
        """The state in which a job ended; None for one that waits or runs, or while the controller does not answer.

        What it knew at most `ask_s` ago counts, so do not ask for a job that is younger.
        """
        async with self._asking:
            if time.monotonic() - self._asked >= (self._ask_s if ask_s is None else ask_s):
                self._asked = time.monotonic()
                self._states = await asyncio.to_thread(self._ask)
        if self._states is None:
            return None
        state, _ = self._states.get(number, (FORGOTTEN, ""))
        return state if state in _ENDED else None

    def waits(self, number: str) -> str:
        """Why a job has not begun, as the controller said when it was asked last; empty if it has, or is not known."""
        state, reason = (self._states or {}).get(number, ("", ""))
        if not state or state in _ENDED or state in _BEGUN:
            return ""
        return f"job {number} is {state} in Slurm's queue" + (f": {reason}" if reason not in ("", "None") else "")

    def _ask(self) -> dict[str, tuple[str, str]] | None:
        """Of each job its state, and the reason for that."""
        command = ["squeue", "--noheader", "--states=all", "--format=%A %T %r", f"--user={os.getuid()}"]
        try:
            told = subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=ANSWER_S, process_group=0
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            if self._answers:
                said = getattr(error, "stderr", None) or str(error)
                _log.warning("Slurm does not say what its jobs do, and is asked again: %s", " ".join(said.split()))
            self._answers = False
            return None
        self._answers = True
        words = (line.split(maxsplit=2) for line in told.splitlines())
        return {number: (state, " ".join(reason)) for number, state, *reason in words}
