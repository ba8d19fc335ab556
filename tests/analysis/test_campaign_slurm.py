"""Jobs of a campaign on Slurm: run, waited for, asked to end, and never submitted twice."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import slurm_double

from analysis.campaign import run_command
from analysis.campaign.executors import Job, Work
from analysis.campaign.slurm import SlurmJobs
from analysis.campaign.slurm_queue import FORGOTTEN, Queue
from heliograph.errors import SettingsError

DEADLINE_S = 120.0
WAITS = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
print("begun", flush=True)
signal.pause()
"""


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
    squeue.write_text(f"#!/bin/sh\necho asked >> {asked}\necho 1 PENDING\necho 2 TIMEOUT\n")
    queue = Queue(ask_s=60.0)

    async def play() -> list[str | None]:
        return await asyncio.gather(*(queue.end(number) for number in "123"))

    assert asyncio.run(play()) == [None, "TIMEOUT", FORGOTTEN]
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
