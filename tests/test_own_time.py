"""The time of its own by which `benchmarks/mutants.py` ends tests: how it adds up, and what it ends and lets be."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path

import own_time
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ended(folder: Path, code: str, **limits: object) -> own_time.Ended:
    return own_time.run(
        [sys.executable, "-c", code],
        cwd=folder,
        environment={},
        output=folder / "output.txt",
        **({"budget_s": 1e9} | limits),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("passed_s", "computed_s", "queued_s", "own_s"),
    [
        (10, 10, 0, 10),  # alone
        (10, 1, 9, 1),  # nine other processes
        (10, 0, 0, 10),  # waits for an event
        (10, 1, 3, 7),  # computes at times, and waits for a processor each time
        (10, 2, 18, 1),  # two threads, on a machine that is as busy as for one
        (10, 20, 0, 10),  # two threads, a processor each
    ],
)
def test_queueing_for_a_processor_is_no_time_of_ones_own(
    passed_s: float, computed_s: float, queued_s: float, own_s: float
) -> None:
    assert own_time.own_seconds(passed_s, computed_s, queued_s) == pytest.approx(own_s)


@pytest.mark.slow
def test_what_computes_for_ever_and_what_waits_for_ever_are_ended(tmp_path: Path) -> None:
    for code in ("while True: pass", "import time; time.sleep(3600)"):
        end = ended(tmp_path, code, budget_s=0.5)
        assert (end.status, end.why) == (None, "budget")
        assert end.own_s > 0.5


@pytest.mark.slow
def test_who_takes_its_time_step_by_step_is_ended_for_the_step_that_takes_too_long(tmp_path: Path) -> None:
    steps = iter(range(8))  # another one at each look, and then none
    end = ended(tmp_path, "import time; time.sleep(3600)", step=lambda: next(steps, None), step_budget_s=0.6)
    assert (end.status, end.why) == (None, "step")
    assert end.own_s > 0.6
    assert list(steps) == [], "no step before took too long, though all of them together did"


def test_what_was_started_is_ended_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_time, "MOST_BYTES", 64 << 20)
    code = "import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', 'while True: pass']).pid, flush=True)"
    # Ended for what it does once it has started another, however late that is.
    assert ended(tmp_path, code + "\nimport time; held = bytearray(128 << 20); time.sleep(3600)").why == "memory"
    with contextlib.suppress(ProcessLookupError):  # gone already
        left = os.pidfd_open(int((tmp_path / "output.txt").read_text()))
        try:
            assert select.select([left], [], [], 60)[0], "it is to end, which may take a moment after its signal"
        finally:
            os.close(left)


def test_memory_without_end_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_time, "MOST_BYTES", 64 << 20)
    assert ended(tmp_path, "import time; held = bytearray(128 << 20); time.sleep(3600)").why == "memory"


def test_who_ends_in_time_says_how(tmp_path: Path) -> None:
    end = ended(tmp_path, "import sys; print('done'); sys.exit(3)")
    assert (end.status, end.why, (tmp_path / "output.txt").read_text()) == (3, None, "done\n")
