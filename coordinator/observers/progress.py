"""Progress of long work: a bar where stderr is a terminal, a plain line now and then where it is not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING

from heliograph.display import console

if TYPE_CHECKING:
    from rich import progress

LINE_INTERVAL_S = 10.0

_counted_by: ContextVar[Callable[[], None] | None] = ContextVar("_counted_by", default=None)


@contextmanager
def counted_by(advance: Callable[[], None]) -> Iterator[None]:
    """Inside, bars are not shown: each unit of theirs calls `advance`, so that a longer work shows one bar for all."""
    token = _counted_by.set(advance)
    try:
        yield
    finally:
        _counted_by.reset(token)


class Progress:
    """Counts `total` units of work under a description; a context manager."""

    def __init__(self, description: str, *, total: int) -> None:
        self._description, self._total = description, total
        self._done = 0
        self._bar: progress.Progress | None = None
        self._advance_other: Callable[[], None] | None = None

    def __enter__(self) -> Progress:
        self._started = self._printed_at = time.monotonic()
        self._advance_other = _counted_by.get()
        if self._advance_other is None and sys.stderr.isatty():
            from rich import progress

            bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("left"),
                progress.TimeRemainingColumn(),
                console=console(stderr=True),
                transient=True,
            )
            self._task = bar.add_task(self._description, total=self._total)
            bar.start()
            self._bar = bar
        return self

    def advance(self) -> None:
        self.reach(self._done + 1)

    def reach(self, done: int) -> None:
        """So many units are done, all together."""
        new, self._done = range(self._done, done), done
        if self._advance_other is not None:
            for _ in new:
                self._advance_other()
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
            return
        now = time.monotonic()
        if now - self._printed_at >= LINE_INTERVAL_S and 0 < self._done < self._total:
            self._printed_at = now
            left_s = (now - self._started) / self._done * (self._total - self._done)
            print(f"{self._description}: {self._done}/{self._total}, about {left_s:.0f} s left", file=sys.stderr)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
