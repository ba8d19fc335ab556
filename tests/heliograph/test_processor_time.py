"""Processor time counts this process and those that it starts, while they run and once they have ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.processor_time import processor_seconds

BUSY = "import sys, time\nwhile time.process_time() < 0.4: pass\nprint('worked', flush=True)\nsys.stdin.read()"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system tells nothing of children")
def test_work_of_a_child_counts_once_while_it_runs_and_after_it() -> None:
    before = processor_seconds()
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"worked\n"
        running = processor_seconds() - before
    ended = processor_seconds() - before
    # The system tells times in whole ticks of a hundredth, user's and its own apart, of each process.
    assert running >= 0.35
    assert running <= ended + 0.05
    assert ended < 0.4 + 2.0


def test_own_work_counts() -> None:
    before = processor_seconds()
    while processor_seconds() - before < 0.05:
        pass
