"""Collecting and learning, in turn or at once: the training loop asks for one iteration's experience after another."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

import torch

from trainer.algorithm import Actor, Algorithm
from trainer.collector import Collected, Collector


class Feed:
    """With `overlap`, the experience of iteration k + 1 is collected in a thread while k is learned from.

    The thread acts with a copy of the networks as they are when k begins, draws from the collector's own generator and
    keeps its rows to itself until it is waited for; so what a run does depends on no timing, only on `overlap`.
    """

    def __init__(
        self, collector: Collector, algorithm: Algorithm, *, steps_per_copy: int, until: int, overlap: bool
    ) -> None:
        """Nothing is collected ahead once `until` environment steps are done."""
        self._collector, self._algorithm = collector, algorithm
        self._steps_per_copy, self._until = steps_per_copy, until
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="collector") if overlap else None
        # A stream of its own, or acting would queue behind all of an update's kernels.
        self._stream = torch.cuda.Stream(collector.device) if overlap and collector.device.type == "cuda" else None
        self._running: Future[Collected] | None = None
        self._ahead: Collected | None = None

    def next(self) -> Collected:
        """Put the experience of the next iteration into replay.  Raises what collecting it has raised."""
        if self._thread is None:
            collected = self._collect(self._algorithm)
            self._collector.commit()
            return collected
        if self._ahead is None and self._running is None:
            self._start(self._thread)
        self.settle()
        assert self._ahead is not None
        collected, self._ahead = self._ahead, None
        if collected.env_steps < self._until:
            self._start(self._thread)
        return collected

    def settle(self) -> None:
        """Wait until nothing is being collected; what was, is in replay then."""
        if self._running is not None:
            running, self._running = self._running, None
            self._ahead = running.result()
            self._collector.commit()

    def close(self) -> None:
        """Wait for the thread, and end it."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)

    @property
    def ahead(self) -> Collected | None:
        """What is in replay already for an iteration that has not begun; for a checkpoint, after `settle`."""
        return self._ahead

    def restore(self, ahead: Collected | None) -> None:
        """Take over `ahead` of a checkpoint."""
        self._ahead = ahead

    def _start(self, thread: ThreadPoolExecutor) -> None:
        actor = self._algorithm.acting_copy()
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._collector.device))
        self._running = thread.submit(self._collect, actor)

    def _collect(self, actor: Actor) -> Collected:
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            return self._collector.collect(self._steps_per_copy, actor)
