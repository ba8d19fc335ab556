"""Scores of many runs in a few numbers that can be trusted: interquartile means, intervals, probabilities, profiles.

Needs numpy alone; any house may import it.  Sources: Agarwal et al., "Deep RL at the Edge of the Statistical
Precipice", 2021 (arXiv 2108.13264), which also gives the stratified bootstrap: runs are drawn anew within each task,
never across tasks.  The same scores always give the same interval.

Axis legend: R runs of a task (seeds), T tasks, P points of a curve, B resamples.

`Scores` are a float array [R, T] or [R, T, P], or a sequence of T arrays [R] or [R, P] where tasks have different
numbers of runs.  What is wrong with scores raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
CONFIDENCE_PERCENTILES = (2.5, 97.5)

Scores = npt.NDArray[np.float64] | Sequence[npt.NDArray[np.float64]]
Statistic = Callable[[Sequence[npt.NDArray[np.float64]]], npt.NDArray[np.float64]]
"""From T arrays [..., R] to one array [...]."""


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A number and its 95 % interval, which one run per task cannot give: then `low` and `high` are None."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Band:
    """A curve and its pointwise 95 % band, which one run per task cannot give: then `low` and `high` are None."""

    value: npt.NDArray[np.float64]
    """float64 [P]."""
    low: npt.NDArray[np.float64] | None
    high: npt.NDArray[np.float64] | None


def mean(tasks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Mean over tasks of the mean over runs."""
    averaged: npt.NDArray[np.float64] = _task_means(tasks).mean(axis=-1)
    return averaged


def median(tasks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Median over tasks of the mean over runs; with one task its mean."""
    middle: npt.NDArray[np.float64] = np.median(_task_means(tasks), axis=-1)
    return middle


def interquartile_mean(tasks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Mean of the middle half of all scores: a quarter, rounded down, is cut at either end, so three are a mean."""
    scores = np.sort(np.concatenate(list(tasks), axis=-1), axis=-1)
    cut = scores.shape[-1] // 4
    averaged: npt.NDArray[np.float64] = scores[..., cut : scores.shape[-1] - cut].mean(axis=-1)
    return averaged


def optimality_gap(tasks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """How far scores stay below 1 on average; what exceeds 1 makes up for nothing."""
    return 1.0 - mean([np.minimum(task, 1.0) for task in tasks])


def aggregate(scores: Scores, statistic: Statistic = interquartile_mean, *, resamples: int = RESAMPLES) -> Aggregate:
    """A statistic of scores without points, with its stratified bootstrap interval."""
    tasks = _tasks(scores, axes=1)
    value = float(statistic(tasks))
    if not _several(tasks):
        return Aggregate(value=value, low=None, high=None)
    picks = _picks([len(task) for task in tasks], resamples=resamples, seed=0)
    low, high = _interval(statistic(_drawn(tasks, picks)))
    return Aggregate(value=value, low=float(low), high=float(high))


def curve(scores: Scores, statistic: Statistic = interquartile_mean, *, resamples: int = RESAMPLES) -> Band:
    """A statistic at each of P points, with its band: sample efficiency, if the points are common numbers of steps.

    A resampled run brings all its points along.
    """
    tasks = _tasks(scores, axes=2)
    return _band([[task[:, point] for task in tasks] for point in range(tasks[0].shape[1])], statistic, resamples)


def performance_profile(scores: Scores, thresholds: npt.NDArray[np.float64], *, resamples: int = RESAMPLES) -> Band:
    """Share of runs whose score exceeds each of P thresholds, every task counting the same."""
    tasks = _tasks(scores, axes=1)
    return _band([[(task > threshold).astype(float) for task in tasks] for threshold in thresholds], mean, resamples)


def probability_of_improvement(one: Scores, other: Scores, *, resamples: int = RESAMPLES) -> Aggregate:
    """P(a run of `one` beats a run of `other`), averaged over the same T tasks; a tie counts half (Mann-Whitney).

    Without several runs of some task on both sides there is no interval.
    """
    ours, theirs = _tasks(one, axes=1), _tasks(other, axes=1)
    if len(ours) != len(theirs):
        raise ValueError(f"improvement is over the same tasks, not {len(ours)} against {len(theirs)}")
    wins = [
        (a[:, None] > b) + 0.5 * (a[:, None] == b)  # [R, R of the other]
        for a, b in zip(ours, theirs, strict=True)
    ]
    value = float(np.mean([win.mean() for win in wins]))
    if not (_several(ours) and _several(theirs)):
        return Aggregate(value=value, low=None, high=None)
    rows = _picks([len(task) for task in ours], resamples=resamples, seed=0)
    columns = _picks([len(task) for task in theirs], resamples=resamples, seed=1)
    drawn = [
        win[row[:, :, None], column[:, None, :]].mean(axis=(1, 2))  # [B, R, R of the other] -> [B]
        for win, row, column in zip(wins, rows, columns, strict=True)
    ]
    low, high = _interval(np.mean(drawn, axis=0))
    return Aggregate(value=value, low=float(low), high=float(high))


def _band(points: list[list[npt.NDArray[np.float64]]], statistic: Statistic, resamples: int) -> Band:
    """Point after point, because all resamples of all points at once would not fit into memory."""
    value = np.array([statistic(tasks) for tasks in points], dtype=np.float64)
    if not points or not _several(points[0]):
        return Band(value=value, low=None, high=None)
    picks = _picks([len(task) for task in points[0]], resamples=resamples, seed=0)
    limits = np.array([_interval(statistic(_drawn(tasks, picks))) for tasks in points])  # [P, 2]
    return Band(value=value, low=limits[:, 0], high=limits[:, 1])


def _tasks(scores: Scores, *, axes: int) -> list[npt.NDArray[np.float64]]:
    """T arrays [R] or, with two axes, [R, P]."""
    if isinstance(scores, np.ndarray):
        if scores.ndim != axes + 1:
            raise ValueError(f"scores have {axes + 1} axes, not {scores.ndim}")
        scores = [scores[:, task] for task in range(scores.shape[1])]
    tasks = [np.asarray(task, dtype=np.float64) for task in scores]
    if not tasks or any(task.ndim != axes or not len(task) for task in tasks):
        raise ValueError(f"scores are at least one run of at least one task, not {[task.shape for task in tasks]}")
    if len({task.shape[1:] for task in tasks}) > 1:
        raise ValueError(f"tasks have as many points each, not {[task.shape[1:] for task in tasks]}")
    if not all(np.isfinite(task).all() for task in tasks):
        raise ValueError("scores are finite")
    return tasks


def _several(tasks: Sequence[npt.NDArray[np.float64]]) -> bool:
    """Drawing again from one run returns it, so an interval from single runs would claim certainty."""
    return all(len(task) > 1 for task in tasks)


def _task_means(tasks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    return np.stack([task.mean(axis=-1) for task in tasks], axis=-1)  # [..., T]


def _picks(runs: Sequence[int], *, resamples: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Per task int64 [B, R]: which runs a resample draws."""
    random = np.random.default_rng(seed)
    return [random.integers(count, size=(resamples, count)) for count in runs]


def _drawn(
    tasks: Sequence[npt.NDArray[np.float64]], picks: Sequence[npt.NDArray[np.int64]]
) -> list[npt.NDArray[np.float64]]:
    return [task[pick] for task, pick in zip(tasks, picks, strict=True)]  # [B, R] each


def _interval(resampled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.percentile(resampled, CONFIDENCE_PERCENTILES)
