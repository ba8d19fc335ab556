"""Jobs of a campaign on a Slurm cluster, by submitit (extra `slurm`).

A job's number is kept beside its log, so a campaign that was killed and begun again waits for the jobs that it left in
the cluster, and submits none twice.  All machines must see the campaign's folder, and this installation, at the same
paths.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.campaign.executors import Executor, Job, Work
from heliograph.errors import OutputFailed, SettingsError
from heliograph.extras import extra
from heliograph.settings import merge
from heliograph.writing import write_text

if TYPE_CHECKING:
    from submitit import Job as Submitted

COMMANDS = ("sbatch", "srun", "sacct", "scancel")
LOOK_S = 1.0
"""How often a job's result is looked for, a file."""
ASK_S = 30.0
"""How often Slurm is asked for the state of a job that has left no result."""
LOST_EXIT_CODE = 1
"""Of a job that ended without leaving one: it was cancelled, or ran out of time or memory; the log says more."""


class SlurmJobs(Executor):
    """A Slurm job for each; `parameters` are those of submitit, such as partition and time (minutes).

    Raises MissingExtra without submitit, SettingsError where there is no Slurm, or for a parameter that is unknown.
    """

    def __init__(self, parameters: Mapping[str, Any], *, look_s: float = LOOK_S, ask_s: float = ASK_S) -> None:
        self._parameters, self._look_s, self._ask_s = dict(parameters), look_s, ask_s
        missing = [name for name in COMMANDS if shutil.which(name) is None]
        if missing:
            raise SettingsError(
                f"there is no {missing[0]} on this machine, which Slurm's clusters have",
                remedy="Log in to a node that submits jobs, or run the campaign here without --on slurm",
            )
        with extra("slurm", packages=("submitit",), purpose="running on Slurm"):
            from submitit import SlurmExecutor, SlurmJob

        self._executor_type, self._job_type = SlurmExecutor, SlurmJob
        try:
            self._executor_type("unused").update_parameters(**self._parameters)
        except ValueError as error:
            raise SettingsError(" ".join(str(error).split()), remedy="Name parameters that submitit knows") from None

    async def begin(self, job: Job) -> Work:
        folder, note = job.log.parent / "slurm", job.log.with_suffix(".slurm")
        left = await asyncio.to_thread(self._left, folder, note)
        if left is None:
            left = await asyncio.to_thread(self._submit, job, folder)
            try:
                write_text(note, f"{left.job_id}\n")
            except OSError as error:
                raise OutputFailed(f"cannot write {note}: {error.strerror}", remedy="Free space") from error
        return _SlurmWork(left, note, look_s=self._look_s, ask_s=self._ask_s)

    def _left(self, folder: Path, note: Path) -> Submitted[int] | None:
        """The job that an earlier campaign began and did not see the end of."""
        try:
            number = note.read_text(encoding="utf-8").strip()
        except OSError:
            return None
        if not number.isdigit():
            return None
        job: Submitted[int] = self._job_type(folder, number)
        return None if job.done(force_check=True) else job

    def _submit(self, job: Job, folder: Path) -> Submitted[int]:
        try:
            executor = self._executor_type(folder)
            executor.update_parameters(job_name=job.name.replace("/", "."), **self._parameters)
            submitted: Submitted[int] = executor.submit(
                run_command, list(job.command), dict(job.environment), str(job.log)
            )
        except OSError as error:
            raise OutputFailed(f"cannot write to {folder}: {error.strerror}", remedy="Free space") from error
        except Exception as error:  # submitit's own, of what sbatch said
            raise SettingsError(f"Slurm does not take {job.name}: {' '.join(str(error).split())[-300:]}") from error
        return submitted


class _SlurmWork(Work):
    def __init__(self, job: Submitted[int], note: Path, *, look_s: float, ask_s: float) -> None:
        self._job, self._note = job, note
        self._look_s, self._ask_s = look_s, ask_s

    async def ended(self) -> int:
        asked = time.monotonic()
        while True:
            if self._job.paths.result_pickle.exists():
                break
            force = time.monotonic() - asked >= self._ask_s
            if force:
                asked = time.monotonic()
            if await asyncio.to_thread(self._job.done, force):
                break
            await asyncio.sleep(self._look_s)
        self._note.unlink(missing_ok=True)
        return await asyncio.to_thread(self._code)

    def _code(self) -> int:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return int(self._job.result())
        except (FailedJobError, UncompletedJobError):
            return LOST_EXIT_CODE

    def stop(self) -> None:
        # One that waits in the queue has nothing to save; one that runs gets Ctrl-C.
        for words in (["--state=PENDING"], ["--signal=INT"]):
            subprocess.run(["scancel", *words, self._job.job_id], check=False, capture_output=True)


def run_command(command: Sequence[str], environment: Mapping[str, str], log: str) -> int:
    """In the cluster: run a job's command to its end; its exit code."""
    # Slurm signals all processes of a job: the command saves and ends, and this one waits for it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("ab") as file:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=os.environ | dict(environment), check=False
        ).returncode


def slurm_jobs(overrides: Sequence[str]) -> SlurmJobs:
    """Of `key=value` texts.  Raises as `SlurmJobs`, and SettingsError for a malformed text."""
    return SlurmJobs(merge({}, overrides))
