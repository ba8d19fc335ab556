"""One run per seed, side by side as processes, and one table of what they came to: `train --seeds 0-9 --jobs 2`.

Imports no torch.  Each run has a folder `seed-N` of its own and a log beside it; the same command again goes on with
those that are not finished, and leaves the others alone, if it names the folder.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.display import console, interval, score, table
from heliograph.errors import INTERRUPTED_EXIT_CODE, OutputFailed, SettingsError
from heliograph.estimates import bootstrap
from heliograph.log_lines import newest_line
from heliograph.reading import SMALL, read_json, read_json_lines
from heliograph.run_status import SUMMARY, RunState, read_status
from heliograph.system_refusals import remedy_for

LOOK_S = 0.5
"""How often the runs are looked at while they go on."""

REPORT_INTERVAL_S = 15.0
"""How often it is told how far they are."""

METRICS = "metrics.jsonl"
"""As `trainer.training.run_folder` names it, which imports torch."""

GRAPHS = "HELIOGRAPH_GRAPHS"
"""As `trainer.export.shared_graphs` names it, which imports torch, too."""

COLUMNS = ("seed", "state", "steps", "minutes", "final score", "every message masked")


@dataclass(frozen=True, kw_only=True)
class SeedRun:
    """One of the runs: where it is, and with which code its process ended (None: there was none)."""

    seed: int
    folder: Path
    exit_code: int | None = None

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")


def train_seeds(folder: Path, seeds: Sequence[int], *, arguments: Sequence[str], jobs: int) -> int:
    """Train with the `arguments` of `heliograph train` for each seed, `jobs` at a time; print the table.

    Returns 0 if all have finished, 130 after Ctrl-C or SIGTERM (the runs save, and what goes on is told), and
    otherwise the code of the first that did not.  Raises OutputFailed if the folder cannot be made.
    """
    if jobs < 1:
        raise SettingsError(f"--jobs {jobs}: at least one run at a time")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFailed(f"cannot make the folder {folder}: {error.strerror}", remedy=remedy_for(error)) from error
    runs = [SeedRun(seed=seed, folder=folder / f"seed-{seed}") for seed in seeds]
    # Each run with threads for all cores would wait for the others at every step.
    threads = max(1, (os.cpu_count() or 1) // min(jobs, len(runs)))
    # They differ in their seeds alone, so what one has traced is what the next exports.
    with tempfile.TemporaryDirectory(prefix="heliograph-graphs-", ignore_cleanup_errors=True) as graphs:
        environment = {"OMP_NUM_THREADS": str(threads), GRAPHS: graphs} | os.environ
        ended, interrupted = asyncio.run(_Side(arguments, jobs=jobs, environment=environment).by_side(runs))
    print_table(ended)
    for run in ended:
        if run.exit_code not in (0, None, INTERRUPTED_EXIT_CODE):
            print(
                f"seed {run.seed} ended with code {run.exit_code}: {newest_line(run.log, ended=True)}", file=sys.stderr
            )
    if interrupted:
        # With the folder, whose name the one that was typed may have left to the clock.
        again = ["--seeds", ",".join(map(str, seeds)), "--jobs", str(jobs), "--folder", str(folder)]
        words = shlex.join(["heliograph", "train", *arguments, *again])
        print(f"interrupted; go on with: {words}", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    return next((run.exit_code for run in ended if run.exit_code), 0)


class _Side:
    """Processes side by side."""

    def __init__(self, arguments: Sequence[str], *, jobs: int, environment: dict[str, str]) -> None:
        self._arguments, self._environment = arguments, environment
        self._places = asyncio.Semaphore(jobs)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = False

    async def by_side(self, runs: Sequence[SeedRun]) -> tuple[list[SeedRun], bool]:
        """Every run with the code of its process, and whether a signal came."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        telling = loop.create_task(self._report_progress(runs))
        tasks = [loop.create_task(self._one(run)) for run in runs]
        try:
            ended = await asyncio.gather(*tasks)
            return list(ended), self._stopping
        finally:
            # One that failed here leaves none of the others' processes behind.
            self._stop()
            await asyncio.gather(*tasks, return_exceptions=True)
            telling.cancel()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def _one(self, run: SeedRun) -> SeedRun:
        async with self._places:
            if self._stopping:
                return run
            command = [sys.executable, "-P", "-m", "heliograph", "train", *self._arguments]
            command += ["--seed", str(run.seed), "--folder", str(run.folder), "--resume-or-start"]
            with run.log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,  # Ctrl-C is handed on once, and not by the terminal as well
                )
            self._processes[run.seed] = process
            try:
                if self._stopping:  # while it was being started
                    with suppress(ProcessLookupError):
                        process.send_signal(signal.SIGINT)
                code = await process.wait()
            finally:
                del self._processes[run.seed]
        print(f"seed {run.seed}: {_state(run)}", file=sys.stderr, flush=True)
        return SeedRun(seed=run.seed, folder=run.folder, exit_code=code)

    def _stop(self) -> None:
        """The runs end in order, and save; a second Ctrl-C is handed on as well, and cuts them short."""
        self._stopping = True
        for process in self._processes.values():
            with suppress(ProcessLookupError):  # it has just ended, and the others are still to be told
                process.send_signal(signal.SIGINT)

    async def _report_progress(self, runs: Sequence[SeedRun]) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            going = [f"seed {run.seed} {_progress(run)}" for run in runs if run.seed in self._processes]
            print("; ".join(going), file=sys.stderr, flush=True)


def print_table(runs: Sequence[SeedRun]) -> None:
    """Print a row for each run, and what they come to together."""
    summaries = {run.seed: _summary(run) for run in runs}
    name = next((found["outcome_name"] for found in summaries.values() if found), "score")
    shown = table(f"{len(runs)} seeds, {name}", *COLUMNS, left=("state",))
    for run in runs:
        found = summaries[run.seed]
        shown.add_row(str(run.seed), _state(run), *(_reached(run) if found is None else _cells(found)))
    remarks = []
    for label, key in (("final score", "greedy"), ("every message masked", "links_cut")):
        scores = [found[key]["outcome"]["mean"] for found in summaries.values() if found and found.get(key)]
        if len(scores) > 1:
            together = bootstrap(scores)
            mean = interval(together.mean, together.low, together.high)
            remarks.append(f"{label}: mean of {len(scores)} {mean}, from {score(min(scores))} to {score(max(scores))}")
    shown.caption = "\n".join(remarks) or None
    console().print(shown)


def _reached(run: SeedRun) -> list[str]:
    """The cells of a run that has not ended: how far it is, as it has written down itself."""
    steps = minutes = ""
    with suppress(SettingsError, OSError, ValueError, KeyError):  # the column of its state says so
        if (env_steps := read_status(run.folder).env_steps) is not None:
            steps = str(env_steps)
        if history := read_json_lines(run.folder / METRICS):
            minutes = f"{history[-1]['seconds'] / 60:.1f}"
    return [steps, minutes, "", ""]


def _cells(found: dict[str, Any]) -> list[str]:
    """The cells of a run that has ended."""
    scores = [score(part["outcome"]["mean"]) if (part := found.get(key)) else "" for key in ("greedy", "links_cut")]
    return [str(found["env_steps"]), f"{found['seconds'] / 60:.1f}", *scores]


def _summary(run: SeedRun) -> dict[str, Any] | None:
    """That of a run that has ended; None for any other."""
    try:
        if not read_status(run.folder).ended:
            return None
        found: dict[str, Any] = read_json(run.folder / SUMMARY, limit=SMALL)
    except (SettingsError, OSError, ValueError):
        return None  # the column of its state says so
    return found


def _state(run: SeedRun) -> str:
    try:
        state = read_status(run.folder).state
    except SettingsError:
        return "unreadable"
    return "not begun" if state is RunState.ABSENT else str(state)


def _progress(run: SeedRun) -> str:
    """How far a run is, by the last line of its log."""
    return newest_line(run.log) or "begins"
