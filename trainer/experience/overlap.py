"""Collecting and learning, in turn or at once: the training loop asks for one iteration's experience after another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from copy import deepcopy

import torch

from heliograph.stopping import StopRequest
from trainer.experience.collector import Collected, Collector
from trainer.policy.acting import Behaviour

CLOSING_S = 5.0
"""How long the thread that collects may take for the step that it is at, when nobody wants its experience any more."""


class Feed:
    """With `overlap`, the experience of iteration k + 1 is collected in a thread while k is learned from.

    The thread acts with a copy of the networks as they are when k begins, draws from the collector's own generator and
    keeps its rows to itself until it is waited for; so what a run does depends on no timing, only on `overlap`.
    """

    def __init__(
        self,
        collector: Collector,
        behaviour: Behaviour,
        *,
        steps_per_copy: int,
        until: int,
        overlap: bool,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is collected ahead once `until` environment steps are done.

        `check` is called before every step and may raise; what is collected ahead is not stopped by it, because the
        networks that acted would be gone for the rest.
        """
        self._collector, self._behaviour = collector, behaviour
        self._steps_per_copy, self._until = steps_per_copy, until
        self._overlap, self._check = overlap, check
        self._closing = StopRequest()
        # A stream of its own, or acting would queue behind all of an update's kernels.
        self._stream = torch.cuda.Stream(collector.device) if overlap and collector.device.type == "cuda" else None
        self._running: Future[Collected] | None = None
        self._thread: threading.Thread | None = None
        self._ahead: Collected | None = None

    def next(self) -> Collected:
        """Put the experience of the next iteration into replay.  Raises what collecting it has raised."""
        if not self._overlap:
            try:
                return self._collect(self._behaviour, self._check)
            finally:
                self._collector.commit()
        if self._ahead is None and self._running is None:
            self._start()
        self.settle()
        assert self._ahead is not None
        collected, self._ahead = self._ahead, None
        if collected.env_steps < self._until:
            self._start()
        return collected

    def settle(self) -> None:
        """Wait until nothing is being collected; what was, is in replay then."""
        if self._running is not None:
            running, self._running = self._running, None
            self._ahead = running.result()
            self._collector.commit()

    def close(self) -> None:
        """Let the thread end after the step that it is at; one that does not is left behind."""
        self._closing.ask()
        if self._thread is not None:
            self._thread.join(CLOSING_S)

    @property
    def ahead(self) -> Collected | None:
        """What is in replay already for an iteration that has not begun; for a checkpoint, after `settle`."""
        return self._ahead

    def restore(self, ahead: Collected | None) -> None:
        """Take over `ahead` of a checkpoint."""
        self._ahead = ahead

    def _start(self) -> None:
        behaviour = deepcopy(self._behaviour)  # acts as it does now, whatever is learned meanwhile
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._collector.device))
        running = self._running = Future()
        # A daemon, because an environment that never returns must not keep the process from ending.
        self._thread = threading.Thread(target=self._ahead_of, args=(behaviour, running), name="collector", daemon=True)
        self._thread.start()

    def _ahead_of(self, behaviour: Behaviour, running: Future[Collected]) -> None:
        try:
            running.set_result(self._collect(behaviour, self._closing.check))
        except BaseException as error:  # for whoever waits, as an executor would
            running.set_exception(error)

    def _collect(self, behaviour: Behaviour, check: Callable[[], None]) -> Collected:
        with nullcontext() if self._stream is None else torch.cuda.stream(self._stream):
            return self._collector.collect(self._steps_per_copy, behaviour, check=check)
