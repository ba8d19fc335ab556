"""Runs sorted by task and label: scores each at its run's own end, curves on the steps that all runs have in common.

Axis legend: R runs of a label, P points of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.comparison.histories import FINAL, LAST, History, RunScore
from heliograph.errors import SettingsError

GRID_POINTS = 100
"""At most, where runs were not all evaluated at the same steps."""

FEW_RUNS = 5
UNIMPORTANT = ("seed", "device", "threads", "compile", "checkpoint_minutes")
"""Settings in which the runs of one label may differ without a word."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """All runs of one task."""

    name: str
    measure: str
    runs: Mapping[str, Sequence[History]]
    """By label."""
    grid: npt.NDArray[np.int64]
    """int64 [P]: environment steps that every run with a curve has reached; none where they share no range."""
    curves: Mapping[str, npt.NDArray[np.float64]]
    """By label float64 [R, P], of the runs that were evaluated more than once; labels without any are left out."""
    scores: Mapping[str, npt.NDArray[np.float64]]
    """By label float64 [R]: what the runs come to, `History.score`."""
    scored: str
    """How the scores were found, in words."""
    remarks: tuple[str, ...]
    """What a reader must know besides."""


def make_tasks(histories: Sequence[History]) -> list[Task]:
    """Group runs; tasks and labels keep the order in which they first come.  Raises SettingsError."""
    tasks = list(dict.fromkeys(history.task for history in histories))
    return [_task(name, [history for history in histories if history.task == name]) for name in tasks]


def _task(name: str, histories: Sequence[History]) -> Task:
    labels = list(dict.fromkeys(history.label for history in histories))
    runs = {label: [history for history in histories if history.label == label] for label in labels}
    measures = sorted({history.measure for history in histories} - {"outcome"})
    if len(measures) > 1:
        raise SettingsError(f"the runs of {name} measure different things: {', '.join(measures)}")
    remarks = _remarks(runs)
    curves, grid = _curves(runs, remarks)
    return Task(
        name=name,
        measure=measures[0] if measures else "outcome",
        runs=runs,
        grid=grid,
        curves=curves,
        scores={label: np.array([run.score.value for run in runs[label]], dtype=np.float64) for label in labels},
        scored=_scored([history.score for history in histories if not history.untrained]),
        remarks=tuple(remarks),
    )


def _scored(scores: Sequence[RunScore]) -> str:
    """How and where scores were taken, in words; references, which are the same everywhere, are not among them."""
    kinds = {score.kind for score in scores}
    where = "after the steps in the table"
    if len({score.step for score in scores}) == 1 and scores[0].step is not None:
        where = f"after {scores[0].step:,} environment steps"
    kind = f"{FINAL}, or {LAST}" if len(kinds) > 1 else kinds.pop() if kinds else FINAL
    return f"{kind}, {where}"


def _curves(
    runs: Mapping[str, Sequence[History]], remarks: list[str]
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.int64]]:
    """Curves by label float64 [R, P] and their grid int64 [P]; what a reader must know of them goes to `remarks`."""
    trained = [history for members in runs.values() for history in members if not history.untrained]
    # One evaluation makes no curve, and would narrow the others' to a point.
    drawn = [history for history in trained if len(set(history.steps.tolist())) > 1] or trained
    if not drawn:  # references alone
        drawn = [history for members in runs.values() for history in members]
    start, end = max(int(history.steps[0]) for history in drawn), min(int(history.steps[-1]) for history in drawn)
    if start > end:
        remarks.append(
            f"There are no curves: the runs share no range of steps, one ends at {end:,} and one begins at {start:,}."
        )
        return {}, np.empty(0, dtype=np.int64)
    grid, interpolated = _grid(drawn, start, end)
    shown = {label: [run for run in members if run in drawn or run.untrained] for label, members in runs.items()}
    left_out = sorted({run.label for run in trained if run not in drawn})
    if left_out:
        remarks.append(f"Runs that were evaluated once have no curve: {', '.join(left_out)}.")
    longest = max(int(history.steps[-1]) for history in drawn)
    if longest > end:
        remarks.append(
            f"Runs were evaluated up to between {end:,} and {longest:,} steps: curves end where the shortest one does, "
            "scores are each run's own."
        )
    if interpolated:
        remarks.append("Runs were evaluated at different steps; curves are interpolated between them.")
    return {label: np.stack([_at(run, grid) for run in members]) for label, members in shown.items() if members}, grid


def _grid(histories: Sequence[History], start: int, end: int) -> tuple[npt.NDArray[np.int64], bool]:
    """Common steps, and whether some run was not evaluated at some of them."""
    within = [history.steps[(history.steps >= start) & (history.steps <= end)] for history in histories]
    points = np.unique(np.concatenate(within))
    if all(np.array_equal(np.unique(steps), points) for steps in within):
        return points, False
    if len(points) > GRID_POINTS:
        points = np.unique(np.linspace(start, end, GRID_POINTS).round().astype(np.int64))
    return points, True


def _at(history: History, grid: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Between evaluations on a straight line; a reference is the same everywhere."""
    return np.interp(grid, history.steps, history.values)


def _remarks(runs: Mapping[str, Sequence[History]]) -> list[str]:
    found = []
    few = [label for label, members in runs.items() if 1 < len(members) < FEW_RUNS]
    alone = [label for label, members in runs.items() if len(members) == 1]
    if alone:
        found.append(f"A single run gives no interval: {', '.join(alone)}.")
    if few:
        found.append(f"Intervals from fewer than {FEW_RUNS} runs are rough and rather too short: {', '.join(few)}.")
    for label, members in runs.items():
        differing = _differing([member.settings for member in members if member.settings is not None])
        if differing:
            found.append(f"Runs of {label} differ in more than their seed: {', '.join(differing)}.")
        seeds = [(member.seed, str(member.settings)) for member in members if member.settings is not None]
        if len(set(seeds)) < len(seeds):
            found.append(f"Some runs of {label} have the same seed and settings: they may be one run twice.")
    return found


def _differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    flat = [dict(_flat(each)) for each in settings]
    keys = sorted({key for each in flat for key in each} - set(UNIMPORTANT))
    return [key for key in keys if len({str(each.get(key)) for each in flat}) > 1]


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    entries: list[tuple[str, Any]] = []
    for key, value in table.items():
        entries += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return entries
