"""A worker pool does each piece once, whatever becomes of its processes, and leaves none behind, whenever it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest
from child_environment import importing_test_modules

from coordinator.running.worker_pool import Answered, Died, Reported, ReportProgress, side_by_side

pytestmark = pytest.mark.slow

DEADLINE_S = 60
PLACES = 8
"""At how many places an interruption is tried."""


def double(piece: int, report: ReportProgress) -> int:
    """Twice the piece, reported as it is first; -1 kills the process, 0 never returns, 1 starts one of its own."""
    if piece == -1:
        os.kill(os.getpid(), signal.SIGKILL)
    report((piece, os.getpid()))
    if piece == 0:
        threading.Event().wait()
    if piece == 1:
        own = multiprocessing.get_context("spawn").Process(target=int)
        own.start()
        own.join(DEADLINE_S)
        assert own.exitcode == 0
    return 2 * piece


def await_end() -> None:
    """Of all processes that this one has started with `multiprocessing`."""
    for process in multiprocessing.active_children():
        process.join(DEADLINE_S)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("jobs", "ahead"), [(1, 1), (2, 3), (4, 1)])
def test_each_piece_is_reported_and_then_answered_once(jobs: int, ahead: int) -> None:
    events = list(side_by_side(range(1, 4), double, jobs=jobs, ahead=ahead))
    assert {each.piece: each.answer for each in events if isinstance(each, Answered)} == {1: 2, 2: 4, 3: 6}
    for piece in (1, 2, 3):
        told, answered = (each for each in events if each.piece == piece)
        assert isinstance(told, Reported)
        assert isinstance(answered, Answered)
    processes = {each.what[1] for each in events if isinstance(each, Reported)}
    assert len(processes) == min(jobs, 3), "a new process before a second piece"
    await_end()


def test_a_process_that_dies_costs_the_piece_that_it_was_at_and_another_takes_its_place() -> None:
    events = list(side_by_side([1, -1, 2, 3], double, jobs=1, ahead=3))
    assert [each.piece for each in events if isinstance(each, Answered)] == [1, 2, 3]
    (died,) = (each for each in events if isinstance(each, Died))
    assert (died.piece, died.cause) == (-1, "was ended by signal 9")
    assert not multiprocessing.active_children()


def test_an_error_of_the_work_is_not_taken_for_the_end_of_the_pool(capfd: pytest.CaptureFixture[str]) -> None:
    (died,) = side_by_side([1], ends_early, jobs=1)
    assert isinstance(died, Died)
    assert died.cause == "ended with code 1"
    assert "EOFError: in a world's own file" in capfd.readouterr().err


def ends_early(_piece: int, _report: ReportProgress) -> None:
    raise EOFError("in a world's own file")


def test_who_asks_for_no_more_ends_processes_that_never_return() -> None:
    with closing(side_by_side([0, 0], double, jobs=2)) as events:
        assert len({each.what[1] for each in (next(events), next(events)) if isinstance(each, Reported)}) == 2
    await_end()


def test_processes_end_with_a_parent_that_is_killed_whatever_they_are_doing() -> None:
    program = (
        "from coordinator.running.worker_pool import side_by_side; from test_worker_pool import double\n"
        "for told in side_by_side([0, 0], double, jobs=2): print(told.what[1], flush=True)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        env=importing_test_modules(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        stuck = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
        parent.kill()
    assert not psutil.wait_procs(stuck, DEADLINE_S)[1]


def test_ctrl_c_at_any_place_leaves_no_process_behind() -> None:
    """Also amid code of the standard library, wherever Python may raise KeyboardInterrupt."""
    lines = lines_until(None)
    for place in range(1, lines, max(1, lines // PLACES)):
        with pytest.raises(KeyboardInterrupt):
            lines_until(place)
        await_end()


def lines_until(place: int | None) -> int:
    """Do a piece, and send this process SIGINT at the so-manieth line of Python; how many lines there were."""
    passed = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal passed
        if event == "line":
            passed += 1
            if passed == place:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with closing(side_by_side([1], double, jobs=1)) as events:
            list(events)
    finally:
        sys.settrace(before)
    return passed
