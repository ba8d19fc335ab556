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
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.campaign.executors import Executor, Job, Work
from analysis.campaign.slurm_queue import ANSWER_S, Queue
from heliograph.errors import OutputFailed, SettingsError
from heliograph.extras import extra
from heliograph.reading import SMALL, read_text
from heliograph.settings import merge
from heliograph.system_refusals import remedy_for
from heliograph.writing import write_text

_log = logging.getLogger(__name__)

COMMANDS = ("sbatch", "srun", "squeue", "scancel")
LOOK_S = 1.0
"""How often a job's result is looked for, a file."""
LATE_LOOKS = 15
"""How often a job's exit code is looked for when it has ended: a shared disk may show a file later than it was made."""
ASK_S = 30.0
"""How often Slurm is asked for the states of jobs that have left no result."""
ASK_STOPPED_S = 3.0
"""The same once they are to end."""
NOTICE_S = 90
"""How long before a job's time is up it is asked to save and to end."""
STOPPED_EXIT_CODE = 130
"""Of a job that was to end before its command had begun."""
LOST_EXIT_CODE = 1
"""Of a job that ended without leaving one: it was cancelled, or ran out of time or memory; the log says more."""


@dataclass(frozen=True, kw_only=True)
class _Files:
    """Beside a job's log, for as long as it is waited for."""

    note: Path
    """Its number."""
    code: Path
    """Its exit code, once it has one."""
    stop: Path
    """There if it is to end: what Slurm signals before a job's command has begun reaches nobody."""

    @classmethod
    def of(cls, job: Job) -> _Files:
        log = job.log
        return cls(note=log.with_suffix(".slurm"), code=log.with_suffix(".exit"), stop=log.with_suffix(".stop"))


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
        files = _Files.of(job)
        number = await self._left(files.note)
        if number is None:
            try:
                files.code.unlink(missing_ok=True)
                files.stop.unlink(missing_ok=True)
                number = await self._submitted(job, files)
                write_text(files.note, f"{number}\n")
            except OSError as error:
                raise OutputFailed(f"cannot write {files.note}: {error.strerror}", remedy=remedy_for(error)) from error
        return _SlurmWork(number, job, files, self._queue, look_s=self._look_s, ask_s=self._ask_s)

    async def _left(self, note: Path) -> str | None:
        """The number of the job that an earlier campaign began and did not see the end of."""
        try:
            number = read_text(note, limit=SMALL).strip()
        except (OSError, ValueError):
            return None
        return number if number.isdigit() and await self._queue.end(number) is None else None

    async def _submitted(self, job: Job, files: _Files) -> str:
        thread = 0

        def submit() -> str:
            nonlocal thread
            thread = threading.get_native_id()
            return self._submit(job, files)

        submitting = asyncio.ensure_future(asyncio.to_thread(submit))
        try:
            return await asyncio.shield(submitting)
        except BaseException as error:
            # Slurm may have taken it all the same; then it ends as soon as it begins.
            with suppress(OSError):
                files.stop.touch()
            if isinstance(error, asyncio.CancelledError):
                _kill_children(thread)
                await asyncio.wait({submitting})
                if submitting.exception() is None:
                    await asyncio.to_thread(scancel, submitting.result())
            raise

    def _submit(self, job: Job, files: _Files) -> str:
        folder = job.log.parent / "slurm"
        try:
            executor = self._executor_type(folder)
            executor.update_parameters(job_name=job.name.replace("/", "."), **self._parameters)
            submitted = executor.submit(
                run_command, list(job.command), dict(job.environment), str(job.log), str(files.code), str(files.stop)
            )
        except OSError as error:
            raise OutputFailed(f"cannot write to {folder}: {error.strerror}", remedy=remedy_for(error)) from error
        except Exception as error:  # submitit's own, of what sbatch said
            raise SettingsError(f"Slurm does not take {job.name}: {' '.join(str(error).split())[-300:]}") from error
        return str(submitted.job_id)


class _SlurmWork(Work):
    # Six parameters: whose job it is, where its files are, and who is asked for it how often.
    def __init__(self, number: str, job: Job, files: _Files, queue: Queue, *, look_s: float, ask_s: float) -> None:
        self._number, self._name, self._log, self._files = number, job.name, job.log, files
        self._queue, self._look_s, self._ask_s = queue, look_s, ask_s
        self._is_stopped = False

    @property
    def waits(self) -> str:
        return self._queue.waits(self._number)

    async def ended(self) -> int:
        state, code = await self._end(), self._files.code
        # One that was cancelled before it began has none, and nobody misses it.
        for _ in range(1 if self._is_stopped and state == "CANCELLED" else LATE_LOOKS):
            if code.exists():
                break
            await asyncio.sleep(self._look_s)
        self._files.note.unlink(missing_ok=True)
        try:
            return int(read_text(code, limit=SMALL))
        except (OSError, ValueError):
            self._say_lost(state)
            return LOST_EXIT_CODE
        finally:
            code.unlink(missing_ok=True)
            self._files.stop.unlink(missing_ok=True)

    async def _end(self) -> str:
        """Wait until the job has left its exit code, or has ended without: Slurm's word for that."""
        began = time.monotonic()
        while not self._files.code.exists():
            await asyncio.sleep(self._look_s)
            ask_s = min(self._ask_s, ASK_STOPPED_S) if self._is_stopped else self._ask_s
            if time.monotonic() - began >= ask_s and (state := await self._queue.end(self._number, ask_s=ask_s)):
                return state
        return ""

    def _say_lost(self, state: str) -> None:
        said = f"job {self._number} left no exit code; to Slurm it is {state or 'one that has left nonsense'}"
        _log.warning("%s: %s", self._name, said)
        with suppress(OSError), self._log.open("a") as file:
            file.write(f"{said}\n")

    def stop(self) -> None:
        self._is_stopped = True
        # In a thread: a controller that answers slowly would hold up all other jobs.
        asyncio.get_running_loop().run_in_executor(None, self._cancel)

    def _cancel(self) -> None:
        with suppress(OSError):  # a full disk; Slurm is told all the same
            self._files.stop.touch()
        scancel(self._number)  # one that is just beginning hears nothing of it, and finds the file


def scancel(number: str) -> None:
    """A job that waits in the queue has nothing to save; one that runs gets Ctrl-C."""
    for words in (["--state=PENDING"], ["--signal=INT"]):
        command = ["scancel", *words, number]
        with suppress(subprocess.TimeoutExpired):  # Ctrl-C tells it again
            subprocess.run(command, check=False, capture_output=True, timeout=ANSWER_S, process_group=0)


def _kill_children(thread: int) -> None:
    """Those processes that this thread of ours has started: the commands of Slurm that it waits for."""
    with suppress(OSError):
        for child in Path(f"/proc/self/task/{thread}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)


def run_command(command: Sequence[str], environment: Mapping[str, str], log: str, code: str, stop: str = "") -> None:
    """In the cluster: run a job's command to its end, or not at all if the file `stop` is there; its exit code is in
    the file `code`."""
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
        if stop and Path(stop).exists():
            asked, ended = True, STOPPED_EXIT_CODE
        else:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=os.environ | dict(environment)
            )
            if asked:  # before there was a command that could hear it
                process.send_signal(signal.SIGINT)
            ended = process.wait()
        if asked:
            file.write(b"Slurm asked this job to end: it was stopped, or its time was nearly up\n")
    write_text(Path(code), f"{ended}\n")


def slurm_jobs(overrides: Sequence[str]) -> SlurmJobs:
    """Of `key=value` texts.  Raises as `SlurmJobs`, and SettingsError for a malformed text."""
    return SlurmJobs(merge({}, overrides))
