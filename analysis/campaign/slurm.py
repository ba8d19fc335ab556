"""Jobs of a campaign on a Slurm cluster, by submitit (extra `slurm`).

A job's number is kept beside its log, so a campaign that was killed and begun again waits for the jobs that it left in
the cluster, and submits none twice.  All machines must see the campaign's folder, and this installation, at the same
paths.  A job writes its exit code into a file of text: submitit's own result is a pickle, and a folder can be of
others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.campaign.executors import Executor, Job, Work
from heliograph.errors import OutputFailed, SettingsError
from heliograph.extras import extra
from heliograph.reading import SMALL, read_text
from heliograph.settings import merge
from heliograph.writing import write_text

if TYPE_CHECKING:
    from submitit import Job as Submitted

_log = logging.getLogger(__name__)

COMMANDS = ("sbatch", "srun", "sacct", "scancel")
LOOK_S = 1.0
"""How often a job's result is looked for, a file."""
LATE_LOOKS = 15
"""How often a job's exit code is looked for when it has ended: a shared disk may show a file later than it was made."""
ASK_S = 30.0
"""How often Slurm is asked for the state of a job that has left no result."""
FORGOTTEN_S = 600.0
"""How long Slurm's accounting may know nothing of a job without a result: it learns of new ones late, or never."""
CANCEL_S = 30.0
"""How long Slurm may take to hear that a job is to end; Ctrl-C tells it again."""
LOST_EXIT_CODE = 1
"""Of a job that ended without leaving one: it was cancelled, or ran out of time or memory; the log says more."""


class SlurmJobs(Executor):
    """A Slurm job for each; `parameters` are those of submitit, such as partition and time (minutes).

    Raises MissingExtra without submitit, SettingsError where there is no Slurm, or for a parameter that is unknown.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        *,
        look_s: float = LOOK_S,
        ask_s: float = ASK_S,
        forgotten_s: float = FORGOTTEN_S,
    ) -> None:
        self._parameters = dict(parameters)
        self._look_s, self._ask_s, self._forgotten_s = look_s, ask_s, forgotten_s
        cpus = self._parameters.get("cpus_per_task", 1)
        if type(cpus) is not int or cpus < 1:
            raise SettingsError(f"cpus_per_task is {cpus!r}, and not a number of processors")
        self._cpus: int = cpus
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

    def threads(self, jobs: int) -> int:
        return self._cpus

    async def begin(self, job: Job) -> Work:
        folder, note, code = job.log.parent / "slurm", job.log.with_suffix(".slurm"), job.log.with_suffix(".exit")
        left = await asyncio.to_thread(self._left, folder, note)
        if left is None:
            try:
                code.unlink(missing_ok=True)
                left = await asyncio.to_thread(self._submit, job, folder, code)
                write_text(note, f"{left.job_id}\n")
            except OSError as error:
                raise OutputFailed(f"cannot write {note}: {error.strerror}", remedy="Free space") from error
        return _SlurmWork(left, job, note, code, look_s=self._look_s, ask_s=self._ask_s, forgotten_s=self._forgotten_s)

    def _left(self, folder: Path, note: Path) -> Submitted[None] | None:
        """The job that an earlier campaign began and did not see the end of."""
        try:
            number = read_text(note, limit=SMALL).strip()
        except (OSError, ValueError):
            return None
        if not number.isdigit():
            return None
        job: Submitted[None] = self._job_type(folder, number)
        return None if job.done(force_check=True) else job

    def _submit(self, job: Job, folder: Path, code: Path) -> Submitted[None]:
        try:
            executor = self._executor_type(folder)
            executor.update_parameters(job_name=job.name.replace("/", "."), **self._parameters)
            submitted: Submitted[None] = executor.submit(
                run_command, list(job.command), dict(job.environment), str(job.log), str(code)
            )
        except OSError as error:
            raise OutputFailed(f"cannot write to {folder}: {error.strerror}", remedy="Free space") from error
        except Exception as error:  # submitit's own, of what sbatch said
            raise SettingsError(f"Slurm does not take {job.name}: {' '.join(str(error).split())[-300:]}") from error
        return submitted


class _SlurmWork(Work):
    # Seven parameters: whose job it is, where its files are, and how often and long is asked for it.
    def __init__(
        self,
        submitted: Submitted[None],
        job: Job,
        note: Path,
        code: Path,
        *,
        look_s: float,
        ask_s: float,
        forgotten_s: float,
    ) -> None:
        self._job, self._name, self._log, self._note, self._code = submitted, job.name, job.log, note, code
        self._look_s, self._ask_s, self._forgotten_s = look_s, ask_s, forgotten_s

    async def ended(self) -> int:
        asked = known = time.monotonic()
        while True:
            if self._code.exists():
                break
            force = time.monotonic() - asked >= self._ask_s
            if force:
                asked = time.monotonic()
            if await asyncio.to_thread(self._job.done, force):
                break
            if force and not await asyncio.to_thread(self._forgotten):
                known = time.monotonic()
            if time.monotonic() - known > self._forgotten_s:
                self._say_forgotten()
                break
            await asyncio.sleep(self._look_s)
        for _ in range(LATE_LOOKS):
            if self._code.exists():
                break
            await asyncio.sleep(self._look_s)
        self._note.unlink(missing_ok=True)
        try:
            return int(read_text(self._code, limit=SMALL))
        except (OSError, ValueError):
            return LOST_EXIT_CODE
        finally:
            self._code.unlink(missing_ok=True)

    def _forgotten(self) -> bool:
        """Whether the accounting answers, and with no word of this job."""
        command = ["sacct", "--noheader", "--parsable2", "--format=JobID,State", f"--jobs={self._job.job_id}"]
        try:
            told = subprocess.run(command, check=True, capture_output=True, timeout=CANCEL_S).stdout
        except (OSError, subprocess.SubprocessError):
            return False  # nobody knows
        return not told.strip()

    def _say_forgotten(self) -> None:
        said = (
            f"Slurm's accounting has known nothing of job {self._job.job_id} for {self._forgotten_s:g} s, and it left "
            "no exit code: it counts as lost. Look with squeue whether it runs before you run the campaign again"
        )
        _log.warning("%s: %s", self._name, said)
        with suppress(OSError), self._log.open("a") as file:
            file.write(f"{said}\n")

    def stop(self) -> None:
        # In a thread: a controller that answers slowly would hold up all other jobs.
        asyncio.get_running_loop().run_in_executor(None, self._cancel)

    def _cancel(self) -> None:
        # One that waits in the queue has nothing to save; one that runs gets Ctrl-C.
        for words in (["--state=PENDING"], ["--signal=INT"]):
            command = ["scancel", *words, self._job.job_id]
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(command, check=False, capture_output=True, timeout=CANCEL_S)


def run_command(command: Sequence[str], environment: Mapping[str, str], log: str, code: str) -> None:
    """In the cluster: run a job's command to its end; its exit code is in the file `code`."""
    # Slurm signals all processes of a job: the command saves and ends, and this one waits for it.  Signals that are
    # ignored would be so by the command as well, until it says what to do on them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("ab") as file:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=os.environ | dict(environment), check=False
        )
    write_text(Path(code), f"{done.returncode}\n")


def slurm_jobs(overrides: Sequence[str]) -> SlurmJobs:
    """Of `key=value` texts.  Raises as `SlurmJobs`, and SettingsError for a malformed text."""
    return SlurmJobs(merge({}, overrides))
