"""TensorBoard's log of a run: written while it can be, and ended by one warning."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from trainer.training.event_log import EventLog

event_file_writer = pytest.importorskip("tensorboard.summary.writer.event_file_writer")

RECORD = {"env_steps": 8, "model/reward": 0.5, "seconds": 1.0}


def test_figures_of_groups_are_written(tmp_path: Path) -> None:
    with EventLog(tmp_path) as log:
        log.write(RECORD)
    (written,) = (path.read_bytes() for path in tmp_path.iterdir())
    assert b"model/reward" in written
    assert b"seconds" not in written


def test_a_full_disk_ends_the_log_with_one_warning(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    hook, failed = threading.excepthook, threading.Event()

    def full(*_: object) -> None:
        failed.set()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with EventLog(tmp_path) as log:
        monkeypatch.setattr(event_file_writer.RecordWriter, "write", full)
        log.write(RECORD)
        assert failed.wait(60)
        for thread in threading.enumerate():
            if isinstance(thread, event_file_writer._AsyncWriterThread):
                thread.join(60)
        for _ in range(3):
            log.write(RECORD)
    assert [record.getMessage() for record in caplog.records] == [
        "TensorBoard's log ends here: OSError: [Errno 28] No space left on device"
    ]
    assert "Traceback" not in capfd.readouterr().err
    assert threading.excepthook is hook


def test_what_ends_another_thread_is_told_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda ended: told.append(ended.exc_type))
    with EventLog(tmp_path):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    assert told == [ZeroDivisionError]
