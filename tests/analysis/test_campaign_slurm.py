"""Jobs of a campaign on Slurm: run, waited for, asked to end, and never submitted twice."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import slurm_double
from test_campaign_side_by_side import CAMPAIGN, RUNS

from analysis.campaign import progress, run_command, side_by_side
from analysis.campaign import slurm as slurm_module
from analysis.campaign.executors import Job, Work
from analysis.campaign.grid import Run, cells_of
from analysis.campaign.places import places_of
from analysis.campaign.planning import plans_of
from analysis.campaign.slurm import SlurmJobs
from analysis.campaign.slurm_queue import FORGOTTEN, Queue
from heliograph.environments.permission import CATALOGUE_ONLY
from heliograph.errors import SettingsError

DEADLINE_S = 120.0
WAITS = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("begun", flush=True)
signal.sigwait([signal.SIGINT])
sys.exit(130)
"""
"""Ended by Ctrl-C, which counts from its first word on, even if it comes right before the wait."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cluster"
    binaries = slurm_double.install(folder)
    monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_DOUBLE", str(folder))
    return folder


def job(folder: Path, program: str) -> Job:
    command = [sys.executable, "-c", program]
    return Job(name="w/m/seed-0", command=command, log=folder / "run.log", environment={"ANSWER": "7"})


def slurm(**parameters: object) -> SlurmJobs:
    return SlurmJobs({"time": 5, **parameters}, look_s=0.05, ask_s=1.0)


async def line(log: Path) -> None:
    """Wait until the job has said something."""
    async with asyncio.timeout(DEADLINE_S):
        while not log.exists() or not log.read_text():
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 8])
def test_a_job_runs_in_the_cluster_and_tells_its_exit_code(cluster: Path, tmp_path: Path, code: int) -> None:
    async def play() -> int:
        program = f"import os, sys; print(os.environ['ANSWER']); sys.exit({code})"
        work = await slurm(partition="small", time=5).begin(job(tmp_path, program))
        return await asyncio.wait_for(work.ended(), DEADLINE_S)

    assert asyncio.run(play()) == code
    assert (tmp_path / "run.log").read_text() == "7\n"
    assert {path.name for path in tmp_path.glob("run.*")} == {"run.log"}


@pytest.mark.slow
def test_who_is_begun_again_waits_for_the_job_that_is_there_and_can_end_it(cluster: Path, tmp_path: Path) -> None:
    async def play() -> int:
        waiting = job(tmp_path, WAITS)
        await slurm().begin(waiting)  # and is killed
        await line(waiting.log)
        again: Work = await slurm().begin(waiting)
        again.stop()
        return await asyncio.wait_for(again.ended(), DEADLINE_S)

    assert asyncio.run(play()) == 130
    assert len(list(cluster.glob("*.submitted"))) == 1
    assert "--state=PENDING 1000" in (cluster / "cancelled").read_text()


@pytest.mark.slow
def test_a_controller_that_answers_slowly_holds_up_nobody_else(cluster: Path, tmp_path: Path) -> None:
    scancel = cluster / "bin" / "scancel"
    scancel.rename(cluster / "bin" / "at-last")
    scancel.write_text(f'#!/bin/sh\nwhile [ ! -e {cluster}/answer ]; do sleep 0.05; done\nexec at-last "$@"\n')
    scancel.chmod(0o755)

    async def play() -> int:
        work = await slurm().begin(job(tmp_path, WAITS))
        await line(tmp_path / "run.log")
        work.stop()
        (cluster / "answer").touch()
        return await asyncio.wait_for(work.ended(), DEADLINE_S)

    assert asyncio.run(play()) == 130


@pytest.mark.slow
def test_a_job_that_leaves_nothing_has_failed_and_is_submitted_again(cluster: Path, tmp_path: Path) -> None:
    async def play() -> list[int]:
        killed = job(tmp_path, "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
        codes = []
        for _ in range(2):
            work = await slurm().begin(killed)
            codes.append(await asyncio.wait_for(work.ended(), DEADLINE_S))
        return codes

    assert asyncio.run(play()) == [1, 1]
    assert len(list(cluster.glob("*.submitted"))) == 2


@pytest.mark.slow
def test_a_job_that_slurm_no_longer_knows_has_ended_and_one_that_it_does_not_tell_of_has_not(
    cluster: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    squeue = cluster / "bin" / "squeue"
    squeue.write_text("#!/bin/sh\necho Unable to contact slurm controller >&2; exit 1\n")

    async def play() -> int:
        work = await slurm().begin(job(tmp_path, WAITS))
        await line(tmp_path / "run.log")
        waiting = asyncio.create_task(work.ended())
        async with asyncio.timeout(DEADLINE_S):
            while "Unable to contact" not in caplog.text:
                await asyncio.sleep(0.05)
        await asyncio.wait([waiting], timeout=1.5)
        assert not waiting.done()
        forgets = squeue.with_name("forgets")
        forgets.write_text("#!/bin/sh\n")
        forgets.chmod(0o755)
        forgets.replace(squeue)  # at once: it may be just about to be run
        done = await asyncio.wait_for(waiting, DEADLINE_S)
        work.stop()
        return done

    assert asyncio.run(play()) == 1
    assert caplog.text.count("Slurm does not say what its jobs do") == 1
    said = "job 1000 left no exit code; to Slurm it is no longer known"
    assert said in caplog.text
    assert said in (tmp_path / "run.log").read_text()


def test_many_jobs_ask_slurm_once(cluster: Path) -> None:
    asked = cluster / "asked"
    squeue = cluster / "bin" / "squeue"
    squeue.write_text(
        f"#!/bin/sh\necho asked >> {asked}\n"
        "echo 1 PENDING 'ReqNodeNotAvail, UnavailableNodes:a'\necho 2 TIMEOUT None\n"
        "echo 4 RUNNING None\necho 5 CONFIGURING\n"
    )
    queue = Queue(ask_s=60.0)

    async def play() -> list[str | None]:
        assert queue.waits("1") == "", "nobody was asked yet"
        return await asyncio.gather(*(queue.end(number) for number in "12345"))

    assert asyncio.run(play()) == [None, "TIMEOUT", FORGOTTEN, None, None]
    assert [queue.waits(number) for number in "12345"] == [
        "job 1 is PENDING in Slurm's queue: ReqNodeNotAvail, UnavailableNodes:a",
        "",
        "",
        "",
        "job 5 is CONFIGURING in Slurm's queue",
    ]
    assert asked.read_text() == "asked\n"


def test_a_command_in_the_cluster_hears_of_signals_from_its_first_moment(tmp_path: Path) -> None:
    program = "import signal; print(*(signal.getsignal(each).name for each in (signal.SIGTERM,)))"
    program += "; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    call = f"from analysis.campaign.slurm import run_command; run_command({[sys.executable, '-c', program]!r}, {{}}, "
    subprocess.run(
        [sys.executable, "-c", f"{call}{str(tmp_path / 'run.log')!r}, {str(tmp_path / 'run.exit')!r})"],
        check=True,
        timeout=DEADLINE_S,
    )
    assert (tmp_path / "run.log").read_text() == "SIG_DFL\nTrue\n"
    assert (tmp_path / "run.exit").read_text() == "0\n"


@pytest.mark.parametrize("comes", ["before it begins", "while its command begins", "not"])
def test_a_stop_reaches_a_command_that_is_just_beginning(
    tmp_path: Path, comes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, popen = tmp_path / "run.stop", subprocess.Popen

    def asked_meanwhile(*arguments: object, **options: object) -> object:
        os.kill(os.getpid(), signal.SIGINT)  # Slurm signals the processes that are there, this one alone
        return popen(*arguments, **options)  # type: ignore[call-overload]

    if comes == "before it begins":
        stop.touch()
    elif comes == "while its command begins":
        monkeypatch.setattr(subprocess, "Popen", asked_meanwhile)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # None of Python, which Ctrl-C ends in another way where it has just begun.
    command = ["true"] if comes == "not" else ["sleep", "600"]
    try:
        slurm_module.run_command(command, {}, str(tmp_path / "run.log"), str(tmp_path / "run.exit"), str(stop))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    code = int((tmp_path / "run.exit").read_text())
    assert code == {"before it begins": 130, "while its command begins": -signal.SIGINT, "not": 0}[comes]
    assert ("Slurm asked this job to end" in (tmp_path / "run.log").read_text()) == (comes != "not")


@pytest.mark.slow
def test_a_stop_is_obeyed_by_a_job_that_has_not_begun_when_slurm_is_told(cluster: Path, tmp_path: Path) -> None:
    srun = cluster / "bin" / "srun"
    srun.rename(cluster / "bin" / "at-last")
    # Deaf, as a job is that has no step yet.
    srun.write_text(
        f"#!/bin/sh\ntrap '' INT\nwhile [ ! -e {cluster}/begin ]; do sleep 0.05; done\nexec at-last \"$@\"\n"
    )
    srun.chmod(0o755)

    async def play() -> int:
        work = await slurm().begin(job(tmp_path, WAITS))
        work.stop()
        async with asyncio.timeout(DEADLINE_S):
            while "--signal=INT" not in await asyncio.to_thread(told, cluster):
                await asyncio.sleep(0.05)
        (cluster / "begin").touch()
        return await asyncio.wait_for(work.ended(), DEADLINE_S)

    assert asyncio.run(play()) == 130
    assert "begun" not in (tmp_path / "run.log").read_text()
    assert {path.name for path in tmp_path.glob("run.*")} == {"run.log"}


def told(cluster: Path) -> str:
    """What scancel was told so far."""
    return (cluster / "cancelled").read_text() if (cluster / "cancelled").exists() else ""


@pytest.mark.slow
def test_a_campaign_says_why_a_job_does_not_begin_and_ends_it_where_it_waits(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_INTERVAL_S", 0.1)
    monkeypatch.setattr(side_by_side, "LOOK_S", 0.1)
    squeue = cluster / "bin" / "squeue"
    squeue.write_text(
        f"#!/bin/sh\nif grep -qs PENDING {cluster}/cancelled; then echo 7 CANCELLED None\n"
        "else echo 7 PENDING Priority; fi\n"
    )
    (cluster / "bin" / "sbatch").write_text("#!/bin/sh\necho Submitted batch job 7\n")
    said: list[str] = []

    class Telling(progress.CampaignProgress):
        def _say(self, line: str) -> None:
            said.append(line)
            if [("PENDING" in each) for each in said[-2:]] == [True, True]:
                os.kill(os.getpid(), signal.SIGTERM)

    cells = cells_of(CAMPAIGN)
    planned = plans_of(cells, permission=CATALOGUE_ONLY, source="campaign")
    plans = {cell.name: plan for cell, plan in zip(cells, planned, strict=True)}
    with Telling(RUNS, plans, places_of("try", tmp_path / "out", None), jobs=1) as telling:
        side = side_by_side.SideBySide(slurm(), jobs=1, telling=telling, disk=tmp_path, may_begin=lambda: "")
        ending = asyncio.run(asyncio.wait_for(side.run([(RUNS[0], job(tmp_path, WAITS))]), DEADLINE_S))
    assert ending.interrupted
    waiting = [line for line in said if "PENDING" in line]
    assert waiting[0] == f"{RUNS[0].name}: job 7 is PENDING in Slurm's queue: Priority"
    assert len(waiting) >= 2, "every now and then"


class Quiet(side_by_side.Telling):
    """Says nothing."""

    def look(self, running: Sequence[Run], waits: Mapping[str, str]) -> None:
        return

    def ended(self, run: Run, code: int) -> None:
        return


@pytest.mark.parametrize("sbatch", ["hangs", "hears of Ctrl-C itself"])
def test_a_stop_is_obeyed_while_a_job_is_submitted(
    cluster: Path, tmp_path: Path, sbatch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "BEGINNING_S", 0.1 if sbatch == "hangs" else 2 * DEADLINE_S)
    ends = "exec sleep 600" if sbatch == "hangs" else "exit 130"
    program = cluster / "bin" / "sbatch"
    program.write_text(f"#!/bin/sh\necho $$ > {cluster}/pid\nkill -TERM $PPID\n{ends}\n")

    async def play() -> side_by_side.Ending:
        side = side_by_side.SideBySide(slurm(), jobs=1, telling=Quiet(), disk=tmp_path, may_begin=lambda: "")
        return await asyncio.wait_for(side.run([(each, job(tmp_path, WAITS)) for each in RUNS]), DEADLINE_S)

    assert asyncio.run(play()) == side_by_side.Ending(codes={}, interrupted=True, held="")
    with pytest.raises(ProcessLookupError):
        os.kill(int((cluster / "pid").read_text()), 0)
    # If Slurm has taken it nevertheless, it ends at once; nobody waits for it.
    assert {path.name for path in tmp_path.glob("run.*")} == {"run.stop"}


class Planted:
    """Runs code where it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.made),)


@pytest.mark.slow
def test_a_pickle_in_the_folder_of_a_campaign_is_never_read(cluster: Path, tmp_path: Path) -> None:
    planted = tmp_path / "slurm" / "1000_0_result.pkl"
    planted.parent.mkdir()
    planted.write_bytes(pickle.dumps(("success", Planted(tmp_path / "made"))))

    async def play() -> int:
        work = await slurm().begin(job(tmp_path, "pass"))
        return await asyncio.wait_for(work.ended(), DEADLINE_S)

    assert asyncio.run(play()) in (0, 1)
    assert not (tmp_path / "made").exists()


def test_a_job_has_as_many_threads_as_processors(cluster: Path) -> None:
    assert slurm(cpus_per_task=4).threads(50) == 4
    assert slurm().threads(1) == 1
    with pytest.raises(SettingsError, match="cpus_per_task is 'four'"):
        slurm(cpus_per_task="four")


def test_niceness_is_not_of_jobs(cluster: Path) -> None:
    with pytest.raises(SettingsError, match="--nice is of processes of this machine"):
        run_command._executor(Namespace(on="slurm", slurm=[], nice=5))


def test_without_slurm_or_with_a_parameter_that_it_has_not_one_sentence_says_so(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"Unavailable parameter\(s\): \['partitoin'\]"):
        slurm(partitoin="small")
    with pytest.raises(SettingsError, match="nothing says how long a job may run"):
        SlurmJobs({"partition": "small"})
    with pytest.raises(SettingsError, match=r"Give parameters as submitit knows them"):
        slurm(additional_parameters="nice")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SettingsError, match="there is no sbatch on this machine"):
        slurm()
