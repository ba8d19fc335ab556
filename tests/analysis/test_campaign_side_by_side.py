"""Jobs of a campaign side by side: in order, so many at a time, and not begun where there is a reason against it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from analysis.campaign import work as work_module
from analysis.campaign.executors import Executor, Job, LocalProcesses, Work
from analysis.campaign.grid import Run, cells_of, runs_of
from analysis.campaign.places import places_of
from analysis.campaign.planning import plans_of
from analysis.campaign.settings import CampaignSettings
from analysis.campaign.side_by_side import Ending, SideBySide, Telling
from analysis.campaign.work import Worker
from heliograph.claim import claim
from heliograph.environments.permission import CATALOGUE_ONLY
from heliograph.errors import OutputFailed, SettingsError

CAMPAIGN = CampaignSettings.model_validate(
    {
        "name": "try",
        "seeds": "0-3",
        "worlds": {"w": {"preset": "mappo-relay", "env_steps": 100}},
        "methods": {"mappo": {}},
    }
)
RUNS = runs_of(cells_of(CAMPAIGN))


class Recorded(Executor, Telling):
    """Begins jobs that end by themselves, and remembers."""

    def __init__(self, *, on_begin: Callable[[str], None] = lambda _: None, ends: bool = True) -> None:
        self.begun: list[str] = []
        self.told: list[tuple[str, int]] = []
        self.most = self.running = 0
        self.stopped: list[str] = []
        self._on_begin, self._ends = on_begin, ends

    async def begin(self, job: Job) -> Work:
        self.begun.append(job.name)
        self.running += 1
        self.most = max(self.most, self.running)
        self._on_begin(job.name)
        return _Recorded(self, job.name, self._ends)

    def look(self, running: Sequence[Run], waits: Mapping[str, str]) -> None:
        assert waits == {run.name: "" for run in running}

    def ended(self, run: Run, code: int) -> None:
        self.told.append((run.name, code))


class _Recorded(Work):
    waits = ""

    def __init__(self, executor: Recorded, name: str, ends: bool) -> None:
        self._executor, self._name, self._end = executor, name, asyncio.Event()
        self._code = 0
        if ends:
            asyncio.get_running_loop().call_soon(self._end.set)

    async def ended(self) -> int:
        await self._end.wait()
        self._executor.running -= 1
        return self._code

    def stop(self) -> None:
        self._executor.stopped.append(self._name)
        self._code = 130
        self._end.set()


def run_all(recorded: Recorded, folder: Path, *, jobs: int = 1, may_begin: Callable[[], str] = lambda: "") -> Ending:
    side = SideBySide(recorded, jobs=jobs, telling=recorded, disk=folder, may_begin=may_begin)
    work = [(run, Job(name=run.name, command=["no", "such"], log=folder / "log")) for run in RUNS]
    return asyncio.run(side.run(work))


def test_jobs_are_begun_in_order_and_no_more_at_a_time_than_was_said(tmp_path: Path) -> None:
    for jobs in (1, 2):
        recorded = Recorded()
        ending = run_all(recorded, tmp_path, jobs=jobs)
        assert recorded.begun == [run.name for run in RUNS]
        assert recorded.most == jobs
        assert ending == Ending(codes={run.name: 0 for run in RUNS}, interrupted=False, held="")
        assert sorted(recorded.told) == sorted((run.name, 0) for run in RUNS)


def test_after_a_signal_what_runs_is_stopped_and_nothing_is_begun(tmp_path: Path) -> None:
    recorded = Recorded(on_begin=lambda _: os.kill(os.getpid(), signal.SIGTERM), ends=False)
    ending = run_all(recorded, tmp_path)
    assert ending.interrupted
    assert recorded.begun == recorded.stopped == [RUNS[0].name]
    assert ending.codes == {RUNS[0].name: 130}


def test_a_spent_budget_begins_nothing_more(tmp_path: Path) -> None:
    recorded = Recorded()
    ending = run_all(recorded, tmp_path, may_begin=lambda: "spent" if len(recorded.begun) == 2 else "")
    assert recorded.begun == [run.name for run in RUNS[:2]]
    assert (ending.held, ending.interrupted) == ("spent", False)


def test_a_disk_that_is_nearly_full_begins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40, 5 * 2**20))
    recorded = Recorded()
    ending = run_all(recorded, tmp_path)
    assert recorded.begun == []
    assert ending.held == f"the disk of {tmp_path} has 5 MiB left, too little to begin another run"


def test_a_process_of_this_machine_ends_with_its_code_and_its_words_in_the_log(tmp_path: Path) -> None:
    async def one(nice: int) -> int:
        command = ["sh", "-c", "echo $WORD; nice; exit 7"]
        job = Job(name="j", command=command, log=tmp_path / "logs" / "j.log", environment={"WORD": "hello"})
        return await (await LocalProcesses(nice=nice).begin(job)).ended()

    assert asyncio.run(one(0)) == 7
    assert asyncio.run(one(5)) == 7
    lines = (tmp_path / "logs" / "j.log").read_text().split()
    assert lines[0] == lines[2] == "hello"
    assert int(lines[3]) == min(19, int(lines[1]) + 5)


def worker(tmp_path: Path) -> Worker:
    (plan,) = plans_of(cells_of(CAMPAIGN), permission=CATALOGUE_ONLY, source="campaign")
    return Worker(RUNS[0], plan, places_of("try", tmp_path, None))


def test_a_worker_waits_for_whoever_still_trains_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a killed campaign's training, which saves and ends; then it looks at what is there."""
    folder = tmp_path / "runs" / RUNS[0].name
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text("{}")
    held = (folder / "settings.json").open()
    assert claim(held.fileno())
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 3:
            held.close()

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(SettingsError, match=r"seed-0 was begun with other settings: .* and \d+ more"):
        worker(tmp_path).work()
    assert len(sleeps) == 3
    assert capsys.readouterr().out.count("another process trains in") == 1


def test_what_the_disk_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = worker(tmp_path)

    def refuse(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work_module, "write_text", refuse)
    with pytest.raises(OutputFailed, match=r"cannot write .*seed-0\.toml: No space left on device"):
        made.work()


def test_a_folder_of_results_that_is_removed_meanwhile_is_marked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a result and no mark in it, the campaign was refused from then on."""
    monkeypatch.setattr(work_module, "diverged", lambda *_, **__: None)
    monkeypatch.setattr(work_module, "write_result", lambda path, _: path.parent.mkdir(parents=True, exist_ok=True))
    own = worker(tmp_path)
    own._places.make()
    shutil.rmtree(own._places.results)
    own._keep(None)
    assert own._places.result(RUNS[0]).parent.is_dir()
    own._places.check()


def test_a_disk_that_is_gone_is_said(tmp_path: Path) -> None:
    recorded = Recorded()
    side = SideBySide(recorded, jobs=1, telling=recorded, disk=tmp_path / "gone", may_begin=lambda: "")
    assert side._is_held()
    assert "how full the disk of" in side._held
    assert "Errno" not in side._held
