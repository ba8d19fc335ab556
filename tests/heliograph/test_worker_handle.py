"""The handle of a worker process that does not read what it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.environments.workers import handle


def test_a_process_that_leaves_a_large_object_unread_is_ended_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unreading.py").write_text("import signal\n\ndef main(descriptor):\n    signal.pause()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(handle, "SENDING_S", 0.3)
    worker = handle.WorkerHandle(None, variables={}, module="unreading")
    pid = worker.pid
    worker.send(bytes(32_000_000))
    with pytest.raises(handle.WorkerDied, match=r"^did not read what it was sent within 0\.3 s$"):
        worker.receive(timeout_s=60)
    assert not Path(f"/proc/{pid}").exists()
