"""Ranks that have processes of their own search for them: stopped, gone on with, and ended by one that dies."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from test_rank_processes import DEADLINE_S, finished, launched, rank_of, workers
from tiny_team import SMALL_MAZERO

from heliograph.run_status import RunState, read_status
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

SEARCHING = "trainer.algorithms.mazero.search_worker"


PATIENT = """
import sys

from trainer.ranks import launched

launched.LEAVING_S = 300.0  # while the other rank still starts its worker, it does not hear of this one
from heliograph.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
"""


def searching(rank: int) -> list[psutil.Process]:
    """The processes that search for a rank."""
    found = []
    for child in psutil.Process(rank).children():
        with suppress(psutil.Error):  # another one, which has just ended
            if any(SEARCHING in word for word in child.cmdline()):
                found.append(child)
    return found


def test_a_run_with_workers_is_stopped_on_one_rank_and_goes_on_with_equal_networks(tmp_path: Path) -> None:
    case = "mazero-relay:workers"
    here = str(Path(__file__).parent / "rank_runs.py")
    code, _, err = finished(launched(str(tmp_path), case, program=(here,)))
    assert code == 0, err  # every checkpoint makes sure that all ranks have the same networks
    run = tmp_path / case / "stopped"
    assert read_status(run).state is RunState.FINISHED
    records = RunFolder.open(run).history()
    assert records[-1]["env_steps"] == 96
    assert all(record["reanalysis/updates_behind"] <= 1 for record in records if "reanalysis/updates_behind" in record)
    assert any("reanalysis/updates_behind" in record for record in records)


def test_a_worker_that_dies_ends_all_ranks_with_its_reason(tmp_path: Path) -> None:
    settings = [*SMALL_MAZERO, "mazero.updates=100000", "mazero.reanalysis.workers=1", "mazero.reanalysis.ahead=2"]
    flags = [part for one in settings for part in ("--set", one)]
    program = tmp_path / "patient.py"
    program.write_text(PATIENT)
    words = ["--preset", "mazero-relay", "--folder", str(tmp_path / "run"), *flags]
    running = launched(*words, program=(str(program),))
    try:
        found: dict[str, list[psutil.Process]] = {}
        until = time.monotonic() + DEADLINE_S
        while len(found) < 2:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until
            found = {rank_of(pid): each for pid in workers(running) if (each := searching(pid))}
            time.sleep(0.05)  # between two looks: the processor is for who starts
        os.kill(found["1"][0].pid, signal.SIGKILL)
        code, _, err = finished(running)  # long before a rank that hears nothing would give up
    finally:
        running.kill()
    assert code != 0
    assert err.count("signal SIGKILL") == 1, err
    assert not psutil.wait_procs([each for all_ in found.values() for each in all_], timeout=DEADLINE_S)[1]
