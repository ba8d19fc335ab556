"""Jobs of a campaign on Slurm itself, where that is installed: ended, cancelled, out of time, found again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import slurm_cluster

from analysis.campaign.executors import Job, Work
from analysis.campaign.slurm import SlurmJobs
from heliograph.errors import SettingsError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(slurm_cluster.missing()), reason=f"without {' '.join(slurm_cluster.missing())}"),
]
DEADLINE_S = 120.0
WAITS = """
import signal, sys
signals = signal.SIGINT, signal.SIGTERM
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("begun", flush=True)
sys.exit(128 + signal.sigwait(signals))
"""
"""Ended by a signal, which counts from its first word on, even if it comes right before the wait."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with slurm_cluster.cluster(tmp_path_factory.mktemp("cluster")) as variables:
        yield variables


@pytest.fixture(autouse=True)
def of_the_cluster(cluster: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)


def slurm(**parameters: object) -> SlurmJobs:
    return SlurmJobs({"partition": "small", "time": 5, **parameters}, look_s=0.1, ask_s=1.0)


def job(folder: Path, program: str) -> Job:
    return Job(name="w/m/seed-0", command=[sys.executable, "-c", program], log=folder / "run.log")


async def begun(folder: Path, executor: SlurmJobs) -> Work:
    """A job that waits, and runs."""
    work = await executor.begin(job(folder, WAITS))
    async with asyncio.timeout(DEADLINE_S):
        while not (folder / "run.log").exists() or not (folder / "run.log").read_text():
            await asyncio.sleep(0.1)
    return work


async def end(work: Work) -> int:
    return await asyncio.wait_for(work.ended(), DEADLINE_S)


def scancel(folder: Path) -> None:
    subprocess.run(["scancel", (folder / "run.slurm").read_text().strip()], check=True, timeout=DEADLINE_S)


def test_the_exit_code_of_a_job_is_told(tmp_path: Path) -> None:
    async def play() -> int:
        return await end(await slurm().begin(job(tmp_path, "import sys; sys.exit(8)")))

    assert asyncio.run(play()) == 8
    assert {path.name for path in tmp_path.glob("run.*")} == {"run.log"}


def test_who_is_begun_again_finds_the_job_that_runs_and_ends_it(tmp_path: Path) -> None:
    async def play() -> int:
        await begun(tmp_path, slurm())  # and is killed
        number = (tmp_path / "run.slurm").read_text()
        again = await slurm().begin(job(tmp_path, WAITS))
        assert (tmp_path / "run.slurm").read_text() == number
        again.stop()
        return await end(again)

    assert asyncio.run(play()) == 130


def test_a_job_whose_time_is_nearly_up_is_asked_to_save(tmp_path: Path) -> None:
    async def play() -> int:
        # Slurm looks twice a minute, and gives notice up to half a minute early: not before the job has begun.
        return await end(await begun(tmp_path, slurm(time=1, signal_delay_s=15)))

    assert asyncio.run(play()) == 130
    assert "its time was nearly up" in (tmp_path / "run.log").read_text()


def test_a_job_that_others_cancel_ends_in_order(tmp_path: Path) -> None:
    async def play() -> int:
        work = await begun(tmp_path, slurm())
        scancel(tmp_path)
        return await end(work)

    assert asyncio.run(play()) == 143


def test_a_job_that_leaves_nothing_has_failed(tmp_path: Path) -> None:
    async def play() -> int:
        killing = job(tmp_path, "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
        return await end(await slurm().begin(killing))

    assert asyncio.run(play()) == 1
    assert "left no exit code; to Slurm it is FAILED" in (tmp_path / "run.log").read_text()


def test_a_job_that_is_stopped_as_soon_as_it_is_submitted_ends(tmp_path: Path) -> None:
    async def play() -> int:
        work = await slurm().begin(job(tmp_path, WAITS))
        work.stop()
        return await end(work)

    assert asyncio.run(play()) in (130, 1), "before its command began, or in the queue"
    assert not list(tmp_path.glob("run.s*"))


def test_why_a_job_waits_is_told(tmp_path: Path) -> None:
    async def play() -> None:
        work = await slurm(additional_parameters={"hold": True}).begin(job(tmp_path, WAITS))
        number, ending = (tmp_path / "run.slurm").read_text().strip(), asyncio.create_task(work.ended())
        async with asyncio.timeout(DEADLINE_S):
            while not work.waits:
                await asyncio.sleep(0.1)
        assert work.waits == f"job {number} is PENDING in Slurm's queue: JobHeldUser"
        work.stop()
        await asyncio.wait_for(ending, DEADLINE_S)

    asyncio.run(play())


@pytest.mark.parametrize("others", [False, True])
def test_a_job_that_is_cancelled_before_it_runs_has_ended(tmp_path: Path, others: bool) -> None:
    async def play() -> int:
        work = await slurm(additional_parameters={"hold": True}).begin(job(tmp_path, WAITS))
        if others:
            scancel(tmp_path)
        else:
            work.stop()
        return await end(work)

    assert asyncio.run(play()) == 1
    assert "left no exit code; to Slurm it is CANCELLED" in (tmp_path / "run.log").read_text()


def test_a_partition_that_is_not_there_is_refused_in_slurms_words(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"Slurm does not take w/m/seed-0: .*nosuch"):
        asyncio.run(slurm(partition="nosuch").begin(job(tmp_path, WAITS)))
