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
from typing import Any

from analysis.campaign.executors import Executor, Job, Work
from analysis.campaign.slurm_queue import ANSWER_S, Queue
from heliograph.errors import OutputFailed, SettingsError
from heliograph.extras import extra
from heliograph.reading import SMALL, read_text
from heliograph.settings import merge
from heliograph.writing import write_text

_log = logging.getLogger(__name__)

COMMANDS = ("sbatch", "srun", "squeue", "scancel")
LOOK_S = 1.0
"""How often a job's result is looked for, a file."""
LATE_LOOKS = 15
"""How often a job's exit code is looked for when it has ended: a shared disk may show a file later than it was made."""
ASK_S = 30.0
"""How often Slurm is asked for the states of jobs that have left no result."""
NOTICE_S = 90
"""How long before a job's time is up it is asked to save and to end."""
LOST_EXIT_CODE = 1
"""Of a job that ended without leaving one: it was cancelled, or ran out of time or memory; the log says more."""


class SlurmJobs(Executor):
    """A Slurm job for each; `parameters` are those of submitit, such as partition and time (minutes).

    Raises MissingExtra without submitit, SettingsError where there is no Slurm, without a time, or for a parameter that
    is unknown.
    """

    def __init__(self, parameters: Mapping[str, Any], *, look_s: float = LOOK_S, ask_s: float = ASK_S) -> None:
        self._parameters = dict(parameters)
        self._look_s, self._ask_s, self._queue = look_s, ask_s, Queue(ask_s=ask_s)
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
            from submitit import SlurmExecutor

        if "time" not in self._parameters:  # submitit would take five minutes
            raise SettingsError("nothing says how long a job may run", remedy="Give minutes: --slurm time=600")
        # Slurm signals the job's processes when its time is nearly up.  The signal that submitit has it send would end
        # a training on the spot; this one makes it save.
        signals = {"signal": f"INT@{self._parameters.get('signal_delay_s', NOTICE_S)}"}
        self._executor_type = SlurmExecutor
        try:
            own = self._parameters.get("additional_parameters", {})
            self._parameters["additional_parameters"] = signals | own
            self._executor_type("unused").update_parameters(**self._parameters)
        except (TypeError, ValueError) as error:
            raise SettingsError(" ".join(str(error).split()), remedy="Give parameters as submitit knows them") from None

    def threads(self, jobs: int) -> int:
        return self._cpus

    async def begin(self, job: Job) -> Work:
        folder, note, code = job.log.parent / "slurm", job.log.with_suffix(".slurm"), job.log.with_suffix(".exit")
        number = await self._left(note)
        if number is None:
            try:
                code.unlink(missing_ok=True)
                number = await asyncio.to_thread(self._submit, job, folder, code)
                write_text(note, f"{number}\n")
            except OSError as error:
                raise OutputFailed(f"cannot write {note}: {error.strerror}", remedy="Free space") from error
        return _SlurmWork(number, job, note, code, self._queue, look_s=self._look_s, ask_s=self._ask_s)

    async def _left(self, note: Path) -> str | None:
        """The number of the job that an earlier campaign began and did not see the end of."""
        try:
            number = read_text(note, limit=SMALL).strip()
        except (OSError, ValueError):
            return None
        return number if number.isdigit() and await self._queue.end(number) is None else None

    def _submit(self, job: Job, folder: Path, code: Path) -> str:
        try:
            executor = self._executor_type(folder)
            executor.update_parameters(job_name=job.name.replace("/", "."), **self._parameters)
            submitted = executor.submit(run_command, list(job.command), dict(job.environment), str(job.log), str(code))
        except OSError as error:
            raise OutputFailed(f"cannot write to {folder}: {error.strerror}", remedy="Free space") from error
        except Exception as error:  # submitit's own, of what sbatch said
            raise SettingsError(f"Slurm does not take {job.name}: {' '.join(str(error).split())[-300:]}") from error
        return str(submitted.job_id)


class _SlurmWork(Work):
    # Seven parameters: whose job it is, where its files are, and who is asked for it how often.
    def __init__(
        self, number: str, job: Job, note: Path, code: Path, queue: Queue, *, look_s: float, ask_s: float
    ) -> None:
        self._number, self._name, self._log, self._note, self._code = number, job.name, job.log, note, code
        self._queue, self._look_s, self._ask_s = queue, look_s, ask_s

    async def ended(self) -> int:
        state = await self._end()
        for _ in range(LATE_LOOKS):
            if self._code.exists():
                break
            await asyncio.sleep(self._look_s)
        self._note.unlink(missing_ok=True)
        try:
            return int(read_text(self._code, limit=SMALL))
        except (OSError, ValueError):
            self._say_lost(state)
            return LOST_EXIT_CODE
        finally:
            self._code.unlink(missing_ok=True)

    async def _end(self) -> str:
        """Wait until the job has left its exit code, or has ended without: Slurm's word for that."""
        began = time.monotonic()
        while not self._code.exists():
            await asyncio.sleep(self._look_s)
            if time.monotonic() - began >= self._ask_s and (state := await self._queue.end(self._number)):
                return state
        return ""

    def _say_lost(self, state: str) -> None:
        said = f"job {self._number} left no exit code; to Slurm it is {state or 'one that has left nonsense'}"
        _log.warning("%s: %s", self._name, said)
        with suppress(OSError), self._log.open("a") as file:
            file.write(f"{said}\n")

    def stop(self) -> None:
        # In a thread: a controller that answers slowly would hold up all other jobs.
        asyncio.get_running_loop().run_in_executor(None, self._cancel)

    def _cancel(self) -> None:
        # One that waits in the queue has nothing to save; one that runs gets Ctrl-C.
        for words in (["--state=PENDING"], ["--signal=INT"]):
            command = ["scancel", *words, self._number]
            with suppress(subprocess.TimeoutExpired):  # Ctrl-C tells it again
                subprocess.run(command, check=False, capture_output=True, timeout=ANSWER_S)


def run_command(command: Sequence[str], environment: Mapping[str, str], log: str, code: str) -> None:
    """In the cluster: run a job's command to its end; its exit code is in the file `code`."""
    # Slurm signals all processes of a job: the command saves and ends, and this one waits for it.  Signals that are
    # ignored would be so by the command as well, until it says what to do on them.
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with Path(log).open("ab") as file:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=os.environ | dict(environment), check=False
        )
        if asked:
            file.write(b"Slurm asked this job to end: it was stopped, or its time was nearly up\n")
    write_text(Path(code), f"{done.returncode}\n")


def slurm_jobs(overrides: Sequence[str]) -> SlurmJobs:
    """Of `key=value` texts.  Raises as `SlurmJobs`, and SettingsError for a malformed text."""
    return SlurmJobs(merge({}, overrides))
