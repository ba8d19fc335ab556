"""Policy targets that are searched in processes of their own: the same searches, bounded in age, and ended in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from child_environment import importing_test_modules
from equal_runs import assert_equal_runs
from stop_at_check import StopAtCheck
from tiny_team import SMALL_MAZERO, Silent, resume, small_settings, start

from heliograph.errors import SettingsError, TrainingError
from heliograph.stopping import Stopped
from trainer.algorithms.mazero.found import Found, found_by
from trainer.algorithms.mazero.mazero import Mazero
from trainer.algorithms.mazero.planning import PlanningModel, planned
from trainer.algorithms.mazero.reanalysis import Reanalysis
from trainer.algorithms.mazero.search_pool import SearchPool
from trainer.algorithms.mazero.search_worker import SearchRequest
from trainer.nets.random_states import never
from trainer.search.draws import RandomDraws
from trainer.training.settings import TrainSettings
from trainer.training.training import Training

torch.set_num_threads(1)


def settings(workers: int, *more: str, ahead: int = 2, env_steps: int = 48) -> TrainSettings:
    shared = (
        f"mazero.reanalysis.workers={workers}",
        f"mazero.reanalysis.ahead={ahead}",
        "mazero.updates=3",
        "evaluation.every=1000",
    )
    return small_settings("mazero-relay", *shared, *more, env_steps=env_steps, small=SMALL_MAZERO)


def team_of(training: Training) -> tuple[Mazero, Reanalysis]:
    team = training.algorithm
    assert isinstance(team, Mazero)
    assert team.reanalysis is not None
    return team, team.reanalysis


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_runs_are_the_same_with_any_number_of_workers_and_searches_no_older_than_said(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path, workers in ((one, 1), (two, 2)):
        training = start(path, settings(workers, "mazero.target_every=2"), stop_after=4)
        training.run()
        processes = team_of(training)[1].pool.processes
        assert len(processes) == workers
        training.close()
        assert not any(alive(pid) for pid in processes)
    assert_equal_runs(one, two)
    learned = [record for record in training.folder.history() if "reanalysis/updates_behind" in record]
    # Of three updates the first has the newest weights, and each later one was begun one update before.
    assert [record["reanalysis/updates_behind"] for record in learned] == pytest.approx([2 / 3] * len(learned))
    assert max(record["reanalysis/renewals_behind"] for record in learned) <= 1


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_a_worker_finds_what_is_found_here_with_the_weights_of_then(tmp_path: Path) -> None:
    training = start(tmp_path / "run", settings(1), stop_after=3)
    training.run()
    team, shared = team_of(training)
    batch = team.sample(training.replay, np.random.default_rng(0))
    steps = team._steps(batch)
    seen, legal = steps.seen[0], steps.legal[0]
    with torch.no_grad():
        for number, version in enumerate((7, 8)):
            for parameter in team.delayed.parameters():
                parameter.mul_(1.5)
            weights = {name: value.numpy().copy() for name, value in team.delayed.state_dict().items()}
            request = SearchRequest(weights=None, seen=seen.numpy(), legal=legal.numpy(), seed=number)
            asked = shared.pool.ask(request, weights, version=version)
            found = shared.pool.answer(asked, never)
            planning = PlanningModel(model=team.delayed)
            draws = RandomDraws(torch.Generator().manual_seed(number))
            search = planned(planning, planning.root(seen, legal), team.settings.search, draws, noise=True)
            expected = found_by(search.result(), team.settings.search)
            for field in fields(Found):
                assert np.array_equal(found[field.name], getattr(expected, field.name).numpy()), field.name
    training.close()


@pytest.mark.slow
def test_a_stop_amid_a_search_ends_the_workers_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = StopAtCheck(10**9)
    monkeypatch.setattr("trainer.training.training.SharedStop", lambda _: stops)
    training = start(tmp_path / "run", settings(2, "schedule.overlap=false"))
    shared = team_of(training)[1]
    answer, searching = SearchPool.answer, list[int]()

    def stopped_there(pool: SearchPool, number: int, check: object) -> object:
        searching.extend(pool.processes)
        for pid in pool.processes:
            os.kill(pid, signal.SIGSTOP)  # none will ever answer
        stops.ask()
        return answer(pool, number, stops.check)

    monkeypatch.setattr(SearchPool, "answer", stopped_there)
    assert training.run().reason == "interrupted"
    assert len(searching) == 2
    assert not any(alive(pid) for pid in searching)
    assert shared.in_flight == 0
    training.close()
    monkeypatch.undo()
    going_on = resume(tmp_path / "run")
    assert isinstance(going_on.algorithm, Mazero)
    assert not going_on.algorithm._begun.parts
    going_on.close()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_a_worker_that_dies_is_named(tmp_path: Path) -> None:
    training = start(tmp_path / "run", settings(2))
    shared = team_of(training)[1]
    pool = shared.pool

    class Killer(Silent):
        def iteration(self, record: dict[str, object], *, share: float) -> None:
            if pool.processes:
                os.kill(pool.processes[1], signal.SIGKILL)

    training.progress = Killer()
    with pytest.raises(TrainingError, match=r"reanalysis worker 2 of 2, process \d+, ended with signal SIGKILL"):
        training.run()
    assert pool.processes == []
    training.close()


def test_a_worker_that_does_not_read_its_request_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that somebody has stopped while it waited, which is neither dead nor late with an answer."""
    program = (
        "import signal\nfrom multiprocessing.connection import Connection\n\n"
        "def main(descriptor):\n    pipe = Connection(descriptor)\n    pipe.recv_bytes()\n"
        "    pipe.send(None)\n    signal.pause()\n"
    )
    (tmp_path / "stopped_searcher.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("trainer.algorithms.mazero.search_pool._MODULE", "stopped_searcher")
    monkeypatch.setattr("heliograph.environments.workers.handle.SENDING_S", 0.3)
    pool = SearchPool(settings(1).mazero, None)  # type: ignore[arg-type]  # no search is made
    seen = np.zeros((2_000, 10, 100), dtype=np.float32)
    request = SearchRequest(weights=None, seen=seen, legal=np.ones((2_000, 10, 4), dtype=np.bool_), seed=0)
    asked = pool.ask(request, {}, version=0)
    reason = r"^reanalysis worker 1 of 1, process \d+, did not read what it was sent within 0\.3 s"
    with pytest.raises(TrainingError, match=reason):
        pool.answer(asked, never)
    pool.close()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_commands")
def test_workers_end_with_the_training_that_is_killed(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed_training.py")), str(tmp_path / "run")],
        env=importing_test_modules(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    for pid in map(int, ran.stdout.split()):
        with suppress(ProcessLookupError, FileNotFoundError):  # at whatever moment it is gone
            _await_end(os.pidfd_open(pid))
            assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _await_end(descriptor: int) -> None:
    import select

    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    assert ready.poll(60_000)
    os.close(descriptor)


def test_more_workers_than_batches_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"workers = 3, but only ahead = 2 batches"):
        settings(3)


def test_without_workers_or_anything_to_reanalyse_there_is_no_pool(tmp_path: Path) -> None:
    for chosen in (settings(0), settings(1, "mazero.targets.reanalyse=0")):
        training = start(tmp_path / str(chosen.mazero.reanalysis.workers), chosen)
        assert isinstance(training.algorithm, Mazero)
        assert training.algorithm.reanalysis is None
        training.close()


def test_what_a_stop_leaves_is_forgotten() -> None:
    pool = SearchPool(settings(1).mazero, None)  # type: ignore[arg-type]  # no process is started
    pool._found[1] = {}
    assert pool.answer(1, never) == {}

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        pool.answer(2, stop)
    pool.close()
    assert pool.processes == []
