"""A run's figures for TensorBoard, which may cost the run nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from heliograph.optional import optional


class EventLog:
    """An event file in a folder, a context manager.  Once it cannot be written it ends, with one warning."""

    def __init__(self, folder: Path) -> None:
        self._writer: Any = None
        self._hook = threading.excepthook
        with optional("no log for TensorBoard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(log_dir=str(folder))

    def __enter__(self) -> EventLog:
        threading.excepthook = self._on_end_of_thread
        return self

    def write(self, record: dict[str, Any]) -> None:
        """All scalars of a record that are in a group, as model/reward."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        with optional("TensorBoard's log ends here"):
            for name, value in record.items():
                if "/" in name:
                    writer.add_scalar(name, value, record["env_steps"])
            self._writer = writer  # not after a failure: one warning is enough

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with optional("TensorBoard's log is not whole"):
            if self._writer is not None:
                self._writer.close()
        threading.excepthook = self._hook

    def _on_end_of_thread(self, ended: threading.ExceptHookArgs) -> None:
        # TensorBoard writes in a thread of its own, and raises what ends that once more where the next record comes.
        if getattr(ended.thread, "exception", None) is not ended.exc_value:
            self._hook(ended)
