"""One run of a campaign from wherever it is to its result: train, evaluate, keep what it came to.

A process of its own, `heliograph campaign work`, so that whatever starts processes can run a campaign.  What it starts
are the commands that a user would type.  It is killed and started again without loss: a training goes on from its
checkpoint, an evaluation that was cut off is made anew.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from analysis.campaign.grid import Run
from analysis.campaign.harvest import Measured, Reports, diverged, harvested, sends_messages
from analysis.campaign.places import Places
from analysis.campaign.planning import BUDGET, Plan, comparable, differences, goes_further
from analysis.campaign.result import write_result
from heliograph.claim import claim
from heliograph.errors import INTERRUPTED_EXIT_CODE, OutputFailed, SettingsError, TargetNotReached, TrainingError
from heliograph.reading import SMALL, open_plain, read_json
from heliograph.run_format import run_fields
from heliograph.run_status import SETTINGS, RunState, read_status
from heliograph.system_refusals import remedy_for
from heliograph.toml_text import toml_document
from heliograph.writing import write_text

LOOK_S = 0.5
"""How often a child is looked after, and whether whoever started this process is still there."""
PATIENT = ("--message-deadline-s", "60", "--action-deadline-s", "120")
"""What is measured is the team, and not how busy the machine is."""
DIVERGED_EXIT_CODE = TrainingError.exit_code


class Worker:
    """Runs the commands of one run, one after the other."""

    def __init__(self, run: Run, plan: Plan, places: Places, *, permission: Sequence[str] = ()) -> None:
        self._run, self._plan, self._places = run, plan, places
        self._permission = tuple(permission)
        self._folder = places.folder(run)
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._parent = os.getppid()

    def work(self) -> int:
        """Do what is left to do; 0 when the result is there, 130 if it was interrupted, otherwise the code of what
        failed.

        Raises SettingsError if the folder holds another training, OutputFailed if the disk refuses.
        """
        with self._obeying_signals():
            if not self._wait_for_others():
                return INTERRUPTED_EXIT_CODE
            longer = self._check_begun()
            code = self._train(longer)
            if code == DIVERGED_EXIT_CODE and read_status(self._folder).exit_code == DIVERGED_EXIT_CODE:
                self._keep(None)
                return 0
            if code or self._stopping:
                return code or INTERRUPTED_EXIT_CODE
            reports: dict[Measured, dict[str, Path]] = {}
            for measured in self._wanted():
                for policy in self._run.cell.evaluation.policies:
                    code, report = self._evaluate(policy, measured)
                    if code or self._stopping:
                        return code or INTERRUPTED_EXIT_CODE
                    reports.setdefault(measured, {})[policy] = report
            self._keep(reports)
            return 0

    def _wanted(self) -> list[Measured]:
        chosen = self._run.cell.evaluation
        permuted = chosen.permuted and sends_messages(self._folder)
        wanted = {Measured.PLAIN: True, Measured.PERMUTED: permuted, Measured.SEARCHED: chosen.search}
        return [measured for measured, is_wanted in wanted.items() if is_wanted]

    def _keep(self, reports: Reports | None) -> None:
        """None: the run has diverged."""
        run, plan, name = self._run, self._plan, self._places.name
        if reports is None:
            result = diverged(run, plan, campaign=name, folder=self._folder)
        else:
            result = harvested(run, plan, campaign=name, folder=self._folder, reports=reports)
        # The folder may have been removed since the run began; what is in one without the mark would be refused later.
        self._places.make()
        write_result(self._places.result(run), result)

    def _check_begun(self) -> list[str]:
        """What to change in the run that is there so that it goes as far as is wanted: `key=value` texts.

        Raises SettingsError if it was begun with other settings.
        """
        if read_status(self._folder).state is RunState.ABSENT:
            return []
        try:
            found = comparable(run_fields(read_json(self._folder / SETTINGS, limit=SMALL), self._folder / SETTINGS))
        except (OSError, ValueError, AttributeError) as error:
            raise SettingsError(f"cannot read {self._folder / SETTINGS}: {error}") from error
        if goes_further(found, self._plan):
            return [f"{key}={self._plan.settings[key]}" for key in BUDGET]
        if differing := differences(found, self._plan):
            more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
            raise SettingsError(
                f"{self._folder} was begun with other settings: {', '.join(map(str, differing[:5]))}{more}",
                remedy="Remove it, or name another folder: --out",
            )
        return []

    def _train(self, longer: Sequence[str]) -> int:
        """Begin, or go on; the exit code.  `longer` are settings of a run whose budget has grown."""
        if longer:
            changes = [word for text in longer for word in ("--set", text)]
            return self._reached(self._command("train", "--resume", str(self._folder), *changes))
        if read_status(self._folder).ended:
            return 0
        preset = self._places.preset(self._run)
        try:
            write_text(preset, toml_document({"base": self._run.cell.preset, **self._plan.values}))
        except OSError as error:
            raise OutputFailed(f"cannot write {preset}: {error.strerror}", remedy=remedy_for(error)) from error
        words = ["--preset", str(preset), "--seed", str(self._run.seed), "--folder", str(self._folder)]
        return self._reached(self._command("train", *words, "--resume-or-start"))

    def _reached(self, code: int) -> int:
        """A training that did all its steps must reach nothing here."""
        return 0 if code == TargetNotReached.exit_code else code

    def _evaluate(self, policy: str, measured: Measured) -> tuple[int, Path]:
        """The exit code, and the report, which is there if that is 0."""
        chosen, searching = self._run.cell.evaluation, measured is Measured.SEARCHED
        masked = chosen.masked and measured is Measured.PLAIN and sends_messages(self._folder)
        apart = chosen.processes and measured is Measured.PLAIN
        ways = {Measured.PLAIN: "processes" if apart else "one-process", Measured.SEARCHED: "search"}
        how = ways.get(measured, measured.value)
        steps = read_status(self._folder).env_steps
        name = f"{policy}-{steps}-{chosen.episodes}-{chosen.seed}-{how}{'-masked' if masked else ''}.json"
        report = self._folder / "measured" / name
        if report.exists():
            return 0, report
        partial = report.with_suffix(".partial")
        try:
            report.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputFailed(f"cannot make {report.parent}: {error.strerror}", remedy=remedy_for(error)) from error
        team = ["--bundles", str(self._folder), *PATIENT] if apart else [str(self._folder)]
        words = ["--episodes", str(chosen.episodes), "--seed", str(chosen.seed), f"--{policy}"]
        links = "permuted" if measured is Measured.PERMUTED else "both" if masked else "open"
        words += ["--links", links, "--json", str(partial)]
        words += ["--search"] if searching else []
        code = self._command("run" if apart else "evaluate", *team, *words)
        if code == 0 and not self._stopping:
            os.replace(partial, report)
        return code, report

    def _command(self, name: str, *words: str) -> int:
        """Run `heliograph NAME WORDS`; its exit code."""
        if self._stopping:
            return INTERRUPTED_EXIT_CODE
        command = [sys.executable, "-P", "-m", "heliograph", name, *words, *self._permission]
        # A session of its own, so that Ctrl-C is handed on once, and not by the terminal as well.
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            if self._stopping:  # while it was being started
                self._interrupt()
            while True:
                with suppress(subprocess.TimeoutExpired):
                    return self._child.wait(LOOK_S)
                self._look_for_parent()
        finally:
            self._child = None

    def _look_for_parent(self) -> None:
        """Stop if whoever started this process was killed: nobody would hear of its end."""
        if os.getppid() != self._parent and not self._stopping:
            self._stop()

    def _wait_for_others(self) -> bool:
        """Wait until nobody else trains in the folder, as what a killed campaign has left may still do while it saves.

        False if a stop was asked for.
        """
        told = False
        while not self._stopping:
            try:
                with open_plain(self._folder / SETTINGS, limit=SMALL) as file:
                    if claim(file.fileno()):
                        return True
            except (OSError, ValueError):
                return True  # there is no run yet, or `train` will say what is wrong
            if not told:
                print(f"another process trains in {self._folder}; waiting until it ends", flush=True)
                told = True
            time.sleep(LOOK_S)
            self._look_for_parent()
        return False

    def _stop(self) -> None:
        self._stopping = True
        self._interrupt()

    def _interrupt(self) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGINT)

    @contextmanager
    def _obeying_signals(self) -> Iterator[None]:
        """Inside, Ctrl-C and SIGTERM are handed on to what runs, which saves; a second one cuts it short there."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            self._stop()

        before = [signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            yield
        finally:
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
                signal.signal(number, handler)
