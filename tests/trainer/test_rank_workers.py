"""Ranks that have processes of their own search for them: stopped, gone on with, and ended by one that dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from test_rank_processes import DEADLINE_S, finished, launched, rank_of, workers
from tiny_team import SMALL_MAZERO

from heliograph.run_status import RunState, read_status
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

SEARCHING = "trainer.algorithms.mazero.search_worker"


def searching(rank: int) -> list[psutil.Process]:
    """The processes that search for a rank."""
    return [child for child in psutil.Process(rank).children() if any(SEARCHING in word for word in child.cmdline())]


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
    running = launched("--preset", "mazero-relay", "--folder", str(tmp_path / "run"), *flags)
    try:
        found: dict[str, list[psutil.Process]] = {}
        until = time.monotonic() + DEADLINE_S
        while len(found) < 2:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until
            found = {rank_of(pid): each for pid in workers(running) if (each := searching(pid))}
        killed = time.monotonic()
        os.kill(found["1"][0].pid, signal.SIGKILL)
        code, _, err = finished(running)
    finally:
        running.kill()
    assert time.monotonic() - killed < 30, err
    assert code != 0
    assert err.count("signal SIGKILL") == 1, err
    assert not psutil.wait_procs([each for all_ in found.values() for each in all_], timeout=30)[1]
