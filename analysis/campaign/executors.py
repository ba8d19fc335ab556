"""Where the processes of a campaign run: the seam for schedulers of clusters, and the processes of this machine.

A job is one command, which does all of one run and leaves its result in a file; that it may be ended at any time, and
be begun again, is the command's affair.  So an executor starts, waits and ends, and knows nothing of training.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from heliograph.errors import OutputFailed
from heliograph.system_refusals import remedy_for


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command to run."""

    name: str
    command: Sequence[str]
    log: Path
    """Its stdout and stderr are added to this file."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of this process."""


class Work(Protocol):
    """A job that was begun."""

    async def ended(self) -> int:
        """Wait for its end; its exit code."""
        ...

    def stop(self) -> None:
        """Ask it to save and to end; a second time, to hurry."""
        ...

    @property
    def waits(self) -> str:
        """Why its process has not begun, in words; empty if it has, or nothing is known."""
        ...


class Executor(Protocol):
    """Begins jobs.  How many at a time is not its affair."""

    def threads(self, jobs: int) -> int:
        """How many threads one job can use, where `jobs` run at a time."""
        ...

    async def begin(self, job: Job) -> Work:
        """Cancelled, it leaves nothing that goes on.  Raises OutputFailed if its log cannot be written."""
        ...


class LocalProcesses(Executor):
    """A process of this machine for each job."""

    def __init__(self, *, nice: int = 0) -> None:
        self._nice = nice

    def threads(self, jobs: int) -> int:
        # Each run with threads for all cores would wait for the others at every step.
        return max(1, (os.cpu_count() or 1) // jobs)

    async def begin(self, job: Job) -> Work:
        command = ["nice", "-n", str(self._nice), *job.command] if self._nice else job.command
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            log = job.log.open("ab")
        except OSError as error:
            raise OutputFailed(f"cannot write {job.log}: {error.strerror}", remedy=remedy_for(error)) from error
        with log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | dict(job.environment),
                start_new_session=True,  # Ctrl-C is handed on once, and not by the terminal as well
            )
        return _LocalWork(process)


class _LocalWork(Work):
    waits = ""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ended(self) -> int:
        return await self._process.wait()

    def stop(self) -> None:
        with suppress(ProcessLookupError):  # it has just ended
            self._process.send_signal(signal.SIGINT)
