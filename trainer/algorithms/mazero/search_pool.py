"""The parent's side of reanalysis: worker processes, which of them is at which search, and what they have found."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import wait

from heliograph.environments.vector import EnvironmentSpec
from heliograph.environments.workers.handle import WorkerDied, WorkerHandle
from heliograph.errors import TrainingError
from trainer.algorithms.mazero.search_worker import Arrays, Searcher, SearchFailure, SearchRequest
from trainer.algorithms.mazero.settings import MazeroSettings

ANSWER_S = 1800.0
"""How long a worker may take for a batch, and to start."""
LOOK_S = 0.2
"""Between two looks for a stop while a batch is waited for."""
_MODULE = "trainer.algorithms.mazero.search_worker"
_VARIABLES = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class SearchPool:
    """Processes that start with the first request, and end with `close`, or with this process."""

    def __init__(self, settings: MazeroSettings, spec: EnvironmentSpec) -> None:
        self._searcher, self._count = Searcher(settings=settings, spec=spec), settings.reanalysis.workers
        self._workers: list[_Worker] = []
        self._waiting: deque[tuple[int, int, Arrays, SearchRequest]] = deque()
        self._found: dict[int, Arrays] = {}
        self._asked = 0

    @property
    def processes(self) -> list[int]:
        """Their ids."""
        return [worker.handle.pid for worker in self._workers]

    def ask(self, request: SearchRequest, weights: Arrays, *, version: int) -> int:
        """Have it searched with such weights, which are the same as long as their version is; its number."""
        if not self._workers:
            self._workers = [_Worker(number, self._count, self._searcher) for number in range(self._count)]
        self._asked += 1
        self._waiting.append((self._asked, version, weights, request))
        self._hand_out()
        return self._asked

    def answer(self, number: int, check: Callable[[], None]) -> Arrays:
        """What was found, once; `check` is called meanwhile.  Raises TrainingError for a worker that has died."""
        while number not in self._found:
            check()
            busy = [worker.handle.fileno() for worker in self._workers if worker.at is not None]
            self._take_in(wait(busy, timeout=LOOK_S))
            self._hand_out()
        return self._found.pop(number)

    def close(self) -> None:
        """End all processes at once, whatever they are at; what was asked for is forgotten."""
        for worker in self._workers:
            worker.handle.kill()
        self._workers, self._found = [], {}
        self._waiting.clear()

    def _take_in(self, ready: Sequence[object]) -> None:
        for worker in self._workers:
            if worker.at is not None and (worker.handle.fileno() in ready or worker.is_late):
                number, answer = worker.at, worker.receive()
                if number:
                    self._found[number] = answer

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.at is None and self._waiting:
                worker.begin(*self._waiting.popleft())


class _Worker:
    """One process, and what it is at."""

    def __init__(self, number: int, count: int, searcher: Searcher) -> None:
        self.handle = WorkerHandle(searcher, variables=_VARIABLES, module=_MODULE)
        self.at: int | None = 0
        """The number of what it searches; 0 while it starts, None when it waits."""
        self._name = f"reanalysis worker {number + 1} of {count}"
        self._version: int | None = None
        self._since = time.monotonic()

    @property
    def is_late(self) -> bool:
        return time.monotonic() - self._since > ANSWER_S

    def begin(self, number: int, version: int, weights: Arrays, request: SearchRequest) -> None:
        self.handle.send(replace(request, weights=None if version == self._version else weights))
        self.at, self._version, self._since = number, version, time.monotonic()

    def receive(self) -> Arrays:
        """Its answer, which is there, or late.  Raises TrainingError."""
        pid = self.handle.pid
        try:
            if self.is_late:
                raise WorkerDied(f"did not answer within {ANSWER_S:g} s")
            answer = self.handle.receive(timeout_s=LOOK_S)
        except WorkerDied as error:
            said = self.handle.last_lines().splitlines()
            raise TrainingError(
                f"{self._name}, process {pid}, {error}" + (f": {said[-1]}" if said else ""),
                remedy="Go on, with fewer mazero.reanalysis.workers if memory was short",
            ) from error
        self.at = None
        if isinstance(answer, SearchFailure):
            raise TrainingError(f"{self._name}, process {pid}, could not search: {answer.reason}")
        found: Arrays = answer
        return found
