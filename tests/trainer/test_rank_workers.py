"""Ranks that have processes of their own search for them: stopped, gone on with, and ended by one that dies."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from test_rank_processes import DEADLINE_S, HERE, finished, launched
from tiny_team import SMALL_MAZERO

from heliograph.run_status import RunState, read_status
from trainer.training.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_commands")]

SEARCHING = "trainer.algorithms.mazero.search_worker"


def searching(mark: str) -> dict[str, psutil.Process]:
    """By rank, the processes that search for the ranks in whose environment a mark is."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another one, which has just ended
            if any(SEARCHING in word for word in process.cmdline()):
                variables = process.environ()
                if mark in variables:
                    found[variables["RANK"]] = process
    return found


def test_a_run_with_workers_is_stopped_on_one_rank_and_goes_on_with_equal_networks(tmp_path: Path) -> None:
    case = "mazero-relay:workers"
    code, _, err = finished(launched(str(tmp_path), case, program=(str(HERE / "rank_runs.py"),)))
    assert code == 0, err  # every checkpoint makes sure that all ranks have the same networks
    run = tmp_path / case / "stopped"
    assert read_status(run).state is RunState.FINISHED
    records = RunFolder.open(run).history()
    assert records[-1]["env_steps"] == 96
    assert all(record["reanalysis/updates_behind"] <= 1 for record in records if "reanalysis/updates_behind" in record)
    assert any("reanalysis/updates_behind" in record for record in records)


def test_a_worker_that_dies_ends_all_ranks_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"OF_TEST_{os.getpid()}"
    monkeypatch.setenv(mark, "1")
    settings = [*SMALL_MAZERO, "mazero.updates=100000", "mazero.reanalysis.workers=1", "mazero.reanalysis.ahead=2"]
    flags = [part for one in settings for part in ("--set", one)]
    words = ["--preset", "mazero-relay", "--folder", str(tmp_path / "run"), *flags]
    running = launched(*words, program=(str(HERE / "rank_patience.py"),))
    try:
        until = time.monotonic() + DEADLINE_S
        while len(found := searching(mark)) < 2:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)  # between two looks: the processor is for who starts
        os.kill(found["1"].pid, signal.SIGKILL)
        code, _, err = finished(running)  # long before a rank that hears nothing would give up
    finally:
        running.kill()
    assert code != 0
    assert err.count("signal SIGKILL") == 1, err
    assert not psutil.wait_procs(list(found.values()), timeout=DEADLINE_S)[1]
