"""What a person sees of a training run: a progress bar on a terminal, plain lines elsewhere, TensorBoard and a plot."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from trainer.curve import draw_curve
from trainer.run_folder import RunFolder

logger = logging.getLogger(__name__)

LINE_INTERVAL_S = 10.0


class TrainingConsole:
    """A `Progress` of `trainer.training`; a context manager."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.measure = "outcome"
        """What the outcome of the run's world is, for the plot; known once there is a world."""
        self._bar: Any = None
        self._writer: Any = None
        self._spoken = self._started = time.monotonic()
        self._share_at_start: float | None = None
        self._outcome = ""

    def __enter__(self) -> TrainingConsole:
        from torch.utils.tensorboard import SummaryWriter

        self._attempt(lambda: setattr(self, "_writer", SummaryWriter(log_dir=str(self._folder.path))))
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TaskProgressColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("left at most"),
                progress.TimeRemainingColumn(elapsed_when_finished=True),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("training", total=1.0)
            self._bar.start()
        return self

    def note(self, text: str) -> None:
        """Say something that is not progress."""
        if self._bar is not None:
            self._bar.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        if self._writer is not None:
            self._attempt(lambda: self._write_scalars(record))
        if "evaluate/greedy_outcome" in record:
            self._outcome = f"  outcome {record['evaluate/greedy_outcome']:.3f}"
        line = f"step {record['env_steps']:>7}{self._outcome}"
        if "model/reconstruction" in record:
            line += f"  reconstruction {record['model/reconstruction']:.3f}  reward {record['model/reward']:.4f}"
        if "collect/lost_episodes" in record:
            line += f"  lost episodes {record['collect/lost_episodes']}"
        if self._bar is not None:
            self._bar.update(self._task, completed=share, description=line)
            return
        now = time.monotonic()
        if self._share_at_start is None:
            self._share_at_start = share
        if now - self._spoken >= LINE_INTERVAL_S:
            self._spoken = now
            done = share - self._share_at_start
            left = f", at most {(now - self._started) / done * (1 - share):.0f} s left" if done > 0 else ""
            print(f"{line}  ({share:.0%}{left})", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._writer is not None:
            self._attempt(self._writer.close)
        self._attempt(lambda: draw_curve(self._folder, measure=self.measure))

    def _write_scalars(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            if "/" in name:
                self._writer.add_scalar(name, value, record["env_steps"])

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write what only people look at; a disk that refuses it must hide no error that matters."""
        try:
            write()
        except OSError as error:
            logger.warning("not written folder=%s error=%s", self._folder.path, error)
