"""Runs sorted by task and label, brought onto a common grid of steps, so that what is compared is comparable.

Axis legend: R runs of a label, P points of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from heliograph.errors import SettingsError
from trainer.comparison.histories import History

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
    grid: np.ndarray
    """int64 [P]: environment steps that every run has reached."""
    curves: Mapping[str, np.ndarray]
    """By label float64 [R, P]."""
    scores: Mapping[str, np.ndarray]
    """By label float64 [R]: what the runs come to."""
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
    trained = [history for history in histories if not history.untrained] or histories
    start, end = max(int(h.steps[0]) for h in trained), min(int(h.steps[-1]) for h in trained)
    if start > end:
        raise SettingsError(f"the runs of {name} share no range of steps: one ends at {end:,}, one begins at {start:,}")
    equal = len({int(history.steps[-1]) for history in trained}) == 1
    grid, interpolated = _grid(trained, start, end)
    curves = {label: np.stack([_at(history, grid) for history in runs[label]]) for label in labels}
    remarks = _remarks(runs)
    if equal and all(history.final is not None for history in histories):
        scores = {label: np.array([history.final for history in runs[label]], dtype=np.float64) for label in labels}
        scored = f"final evaluation on fresh episodes, after {end:,} environment steps"
    else:
        scores = {label: curves[label][:, -1] for label in labels}
        scored = f"evaluation at {end:,} environment steps"
        if not equal:
            longest = max(int(history.steps[-1]) for history in trained)
            remarks.insert(
                0, f"Runs end between {end:,} and {longest:,} steps; all are compared at the shortest one's end."
            )
    if interpolated:
        remarks.append("Runs were evaluated at different steps; curves are interpolated between them.")
    return Task(
        name=name,
        measure=measures[0] if measures else "outcome",
        runs=runs,
        grid=grid,
        curves=curves,
        scores=scores,
        scored=scored,
        remarks=tuple(remarks),
    )


def _grid(histories: Sequence[History], start: int, end: int) -> tuple[np.ndarray, bool]:
    """Common steps, and whether some run was not evaluated at some of them."""
    within = [history.steps[(history.steps >= start) & (history.steps <= end)] for history in histories]
    points = np.unique(np.concatenate(within))
    if all(np.array_equal(np.unique(steps), points) for steps in within):
        return points, False
    if len(points) > GRID_POINTS:
        points = np.unique(np.linspace(start, end, GRID_POINTS).round().astype(np.int64))
    return points, True


def _at(history: History, grid: np.ndarray) -> np.ndarray:
    """Between evaluations on a straight line; a reference is the same everywhere."""
    return np.interp(grid, history.steps, history.values)


def _remarks(runs: Mapping[str, Sequence[History]]) -> list[str]:
    found = []
    few = [label for label, members in runs.items() if 1 < len(members) < FEW_RUNS]
    alone = [label for label, members in runs.items() if len(members) == 1]
    if alone:
        found.append(f"One run alone gives no interval: {', '.join(alone)}.")
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
