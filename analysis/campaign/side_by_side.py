"""Runs of a campaign, so many at a time: begun in their order, told of, and ended in order when that is asked for."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from analysis.campaign.executors import Executor, Job, Work
from analysis.campaign.grid import Run
from heliograph.errors import HeliographError

_log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 200 * 2**20
"""Of the disk: with less no run is begun, since it would fail amid its work."""
BEGINNING_S = 5.0
"""How long a job that is being begun when a stop is asked for may take for that."""
LOOK_S = 2.0
"""How often progress is told."""


class Telling(Protocol):
    """Who is told how it goes."""

    def look(self, running: Sequence[Run], waits: Mapping[str, str]) -> None:
        """Every LOOK_S: what was begun and has not ended, and why some of them do not run yet, by name."""
        ...

    def ended(self, run: Run, code: int) -> None:
        """A run's process has ended."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How it went."""

    codes: dict[str, int]
    """Exit codes by the names of the runs that were begun."""
    interrupted: bool
    held: str
    """Why the rest was not begun, as a sentence; empty if it was."""


class SideBySide:
    """Runs jobs until all are done, or a signal comes, or there is a reason to begin no more."""

    def __init__(
        self, executor: Executor, *, jobs: int, telling: Telling, disk: Path, may_begin: Callable[[], str]
    ) -> None:
        """`may_begin` says why no further run may be begun, or nothing."""
        self._executor, self._telling, self._disk, self._may_begin = executor, telling, disk, may_begin
        self._places = asyncio.Semaphore(jobs)
        self._beginning: set[asyncio.Future[Work]] = set()
        self._running: dict[str, tuple[Run, Work]] = {}
        self._codes: dict[str, int] = {}
        self._stopping = False
        self._held = ""

    async def run(self, jobs: Sequence[tuple[Run, Job]]) -> Ending:
        """Raises what an executor raises; then, too, nothing is left running."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        telling = loop.create_task(self._report())
        tasks = [loop.create_task(self._one(run, job)) for run, job in jobs]
        try:
            await asyncio.gather(*tasks)
        finally:
            if any(not task.done() for task in tasks):
                self._stop()
                await asyncio.gather(*tasks, return_exceptions=True)
            telling.cancel()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        return Ending(codes=self._codes, interrupted=self._stopping, held=self._held)

    async def _one(self, run: Run, job: Job) -> None:
        async with self._places:
            if self._stopping or self._is_held():
                return
            work = await self._begun(job)
            if work is None:
                return
            self._running[run.name] = run, work
            try:
                if self._stopping:  # while it was being started
                    work.stop()
                self._codes[run.name] = await work.ended()
            finally:
                del self._running[run.name]
        self._telling.ended(run, self._codes[run.name])

    async def _begun(self, job: Job) -> Work | None:
        """None if it came to nothing because a stop was asked for meanwhile."""
        beginning = asyncio.ensure_future(self._executor.begin(job))
        self._beginning.add(beginning)
        try:
            return await beginning
        except (asyncio.CancelledError, HeliographError) as error:  # Ctrl-C in a terminal reaches its processes as well
            if not self._stopping:
                raise
            _log.warning("%s was not begun: %s", job.name, str(error) or "it took too long")
            return None
        finally:
            self._beginning.discard(beginning)

    def _is_held(self) -> bool:
        if not self._held:
            try:
                free = shutil.disk_usage(self._disk).free
                self._held = self._may_begin() or (
                    f"the disk of {self._disk} has {free // 2**20} MiB left, too little to begin another run"
                    if free < LEAST_FREE_BYTES
                    else ""
                )
            except OSError as error:
                self._held = f"nobody can tell how full the disk of {self._disk} is: {error.strerror}"
            except HeliographError as error:
                self._held = str(error)
        return bool(self._held)

    def _stop(self) -> None:
        """What runs ends in order, and saves; a second Ctrl-C is handed on as well, and cuts it short."""
        loop, is_first = asyncio.get_running_loop(), not self._stopping
        self._stopping = True
        for _, work in self._running.values():
            work.stop()
        for beginning in self._beginning:
            loop.call_later(BEGINNING_S if is_first else 0, beginning.cancel)

    async def _report(self) -> None:
        while True:
            waits = {run.name: work.waits for run, work in self._running.values()}
            self._telling.look([run for run, _ in self._running.values()], waits)
            await asyncio.sleep(LOOK_S)
