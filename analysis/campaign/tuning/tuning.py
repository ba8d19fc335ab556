"""A tuning from wherever it is to its last trial: propose, run, judge, keep, and again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import ceil, inf
from typing import Any

from analysis.campaign.executors import LocalProcesses
from analysis.campaign.grid import Run
from analysis.campaign.request import Request
from analysis.campaign.running import run_all
from analysis.campaign.standing import Standing, standings
from analysis.campaign.tuning.proposals import proposed
from analysis.campaign.tuning.trials import (
    Trial,
    TrialState,
    judged,
    read_trials,
    trials_file,
    tune_plan,
    write_trials,
)
from heliograph import display
from heliograph.errors import INTERRUPTED_EXIT_CODE, OutputFailed, TrainingError
from heliograph.toml_text import toml_value


class Tuning:
    """`request(trials)` resolves the campaign with the cells of these trials."""

    def __init__(self, request: Callable[[Sequence[Trial]], Request], *, jobs: int, nice: int) -> None:
        """Raises as `request_of`, and SettingsError if the campaign has nothing to tune."""
        self._request_of, self._jobs, self._nice = request, jobs, nice
        # With nothing changed, so that what cannot be trained is said before anything is made or proposed.
        self._request = request([Trial(number=0, values={})])
        self._settings, self._places = self._request.settings, self._request.places
        self._plan = tune_plan(self._settings)
        # Trials whose runs keep all jobs busy.
        self._side_by_side = max(1, ceil(jobs / len(self._request.runs())))
        self._trials = read_trials(self._settings, self._places)

    def run(self) -> int:
        """Until all trials are judged; 130 after Ctrl-C.

        Raises MissingExtra without Optuna, SettingsError for a parameter that is no setting, TrainingError that names
        a run which failed, OutputFailed if the disk is full or the budget is spent.
        """
        self._places.make()
        with self._places.claimed():
            self._judge()
            while self._ask():
                ending = run_all(
                    self._request, self._open_runs(), jobs=self._jobs, executor=LocalProcesses(nice=self._nice)
                )
                self._judge()
                if ending.interrupted:
                    print("interrupted; the same command goes on", file=sys.stderr)
                    return INTERRUPTED_EXIT_CODE
                if ending.held:
                    raise OutputFailed(ending.held, remedy="Then the same command goes on")
                self._refuse_failed()
        return 0

    def document(self) -> dict[str, Any]:
        """For JSON."""
        best = self._best()
        return {
            "campaign": self._settings.name,
            "method": self._plan.method,
            "trials": [{**vars(trial), "values": dict(trial.values)} for trial in self._trials],
            "best": None if best is None else best.number,
        }

    def print_table(self) -> None:
        """The trials, the best first, and the best one's settings as a campaign takes them."""
        names = list(self._plan.parameters)
        shown = display.table(
            f"{self._settings.name}: {len(self._trials)} trials of {self._plan.method}",
            *("trial", "score", *names),
        )
        for trial in sorted(self._trials, key=_loss):
            score = str(trial.state) if trial.score is None else display.score(trial.score)
            shown.add_row(str(trial.number), score, *(str(trial.values[name]) for name in names))
        output = display.console(width=160)
        output.print(shown)
        if (best := self._best()) is not None:
            output.print("the best of them:", highlight=False)
            for name, value in best.values.items():
                output.print(f"settings.{name} = {toml_value(value)}", highlight=False, markup=False)
            output.print(
                "report it on seeds that it was not chosen on, beside as many trials of what it is compared with",
                highlight=False,
            )
        output.print(f"kept in {trials_file(self._settings, self._places)}", highlight=False, markup=False)

    def _ask(self) -> bool:
        """Keep so many trials open that the jobs have work; False when all are judged."""
        open_trials = [trial for trial in self._trials if trial.state is TrialState.OPEN]
        wanted = self._plan.trials - len(self._trials)
        for _ in range(min(wanted, max(0, self._side_by_side - len(open_trials)))):
            self._trials.append(proposed(self._plan, self._trials))
        if not any(trial.state is TrialState.OPEN for trial in self._trials):
            return False
        # Resolved before it is kept: what no training takes is said, and not tried again for ever.  All, since what the
        # runs of earlier ones have taken is of the same budget.
        self._request = self._request_of(self._trials)
        write_trials(self._settings, self._places, self._trials)
        return True

    def _open_runs(self) -> list[Run]:
        """What trials that are not judged still wait for, or have."""
        still = {trial.variant for trial in self._trials if trial.state is TrialState.OPEN}
        return [run for run in self._request.runs() if run.cell.variant in still]

    def _judge(self) -> None:
        """Take in what runs have come to, and keep it."""
        if not self._trials:
            return
        request = self._request_of(self._trials)
        runs: dict[str, list[Standing]] = {}
        for each in standings(request.runs(), request.plans, request.places):
            runs.setdefault(each.run.cell.variant or "", []).append(each)
        self._trials = [
            judged(trial, runs[trial.variant], self._settings) if trial.state is TrialState.OPEN else trial
            for trial in self._trials
        ]
        write_trials(self._settings, self._places, self._trials)

    def _refuse_failed(self) -> None:
        """Raise TrainingError for runs that have failed, of which a trial would stay open for ever."""
        failed = standings(self._open_runs(), self._request.plans, self._places)
        if failed:
            named = ", ".join(f"{each.run.name} ({each.state})" for each in failed[:5])
            raise TrainingError(
                f"runs have no score: {named}", remedy="Their logs say why; the same command tries them again"
            )

    def _best(self) -> Trial | None:
        """Of equal ones the first."""
        best = min(self._trials, key=_loss, default=None)
        return None if best is None or best.score is None else best


def _loss(trial: Trial) -> float:
    """Less is better, and what has no score the worst."""
    return inf if trial.score is None else -trial.score
