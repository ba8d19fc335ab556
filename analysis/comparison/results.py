"""What a comparison found, in numbers: per task, and over all tasks together where scores can be averaged.

Axis legend: R runs of a label, P points of a curve or profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from analysis.comparison.tasks import Task
from heliograph.aggregates import (
    Aggregate,
    Band,
    aggregate,
    curve,
    interquartile_mean,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from heliograph.figures import SHARES

PROFILE_POINTS = 101


@dataclass(frozen=True, kw_only=True)
class LabelResult:
    """One label in a section."""

    runs: int
    """Over all tasks of the section."""
    steps: tuple[int, int]
    """Environment steps before the score of the run that had fewest, and most; of those whose step is not known, up to
    their last evaluation."""
    best: bool
    """The step of some is not known: it is that of its best checkpoint."""
    kinds: tuple[str, ...]
    """What its scores are, see `History.score`; more than one where some runs were not evaluated at their end."""
    mean: Aggregate
    median: Aggregate | None
    """Over tasks; None for one task, where it is the mean."""
    iqm: Aggregate
    gap: Aggregate | None
    """To the score of 1, over tasks; None for one task, where it is 1 minus the mean, and for other scores."""
    low: float
    high: float
    """Of single runs."""
    profile: Band
    """Share of runs above each of the section's thresholds."""
    scores: tuple[npt.NDArray[np.float64], ...]
    """Per task float64 [R]."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One task, or all tasks together."""

    name: str
    measure: str
    share: bool
    """Scores go from 0 to 1."""
    scored: str
    labels: Mapping[str, LabelResult]
    thresholds: npt.NDArray[np.float64]
    """float64 [P]."""
    improvement: Mapping[tuple[str, str], Aggregate]
    """P(the first beats the second) for every pair of labels, once; the other way round is 1 minus it."""
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """How the labels of one task learned: interquartile means over runs."""

    task: str
    measure: str
    steps: npt.NDArray[np.int64]
    """int64 [P]."""
    bands: Mapping[str, Band]
    runs: Mapping[str, npt.NDArray[np.float64]]
    """By label float64 [R, P]."""


def sections(tasks: Sequence[Task]) -> list[Section]:
    """One section per task; then, where all tasks measure shares, one over all of them for labels that played all."""
    found = [
        _section(task.name, task.measure, task.scored, [task], list(task.runs), remarks=task.remarks) for task in tasks
    ]
    everywhere = [label for label in tasks[0].runs if all(label in task.runs for task in tasks)]
    if len(tasks) > 1 and everywhere and all(task.measure in SHARES for task in tasks):
        measures = " or ".join(sorted({task.measure for task in tasks}))
        found.append(_section(f"all {len(tasks)} tasks", measures, "the scores above", tasks, everywhere, remarks=()))
    return found


def learning_curves(tasks: Sequence[Task]) -> list[Curves]:
    """One per task whose runs have steps in common."""
    return [
        Curves(
            task=task.name,
            measure=task.measure,
            steps=task.grid,
            bands={label: curve([values]) for label, values in task.curves.items()},
            runs=task.curves,
        )
        for task in tasks
        if task.curves
    ]


def _section(
    name: str, measure: str, scored: str, tasks: Sequence[Task], labels: Sequence[str], *, remarks: tuple[str, ...]
) -> Section:
    scores = {label: tuple(task.scores[label] for task in tasks) for label in labels}
    share = all(task.measure in SHARES for task in tasks)
    everything = np.concatenate([values for label in labels for values in scores[label]])
    low, high = (0.0, 1.0) if share else (float(everything.min()), float(everything.max()))
    thresholds = np.linspace(low, high, PROFILE_POINTS)
    runs = {label: [run for task in tasks for run in task.runs[label]] for label in labels}
    taken = {label: [run.score.step for run in members] for label, members in runs.items()}
    ends = {
        label: [
            int(run.steps[-1]) if step is None else step for run, step in zip(runs[label], taken[label], strict=True)
        ]
        for label in labels
    }
    return Section(
        name=name,
        measure=measure,
        share=share,
        scored=scored,
        labels={
            label: LabelResult(
                runs=sum(map(len, values)),
                steps=(min(ends[label]), max(ends[label])),
                best=None in taken[label],
                kinds=tuple(sorted({run.score.kind for run in runs[label]})),
                mean=aggregate(values, mean),
                median=aggregate(values, median) if len(tasks) > 1 else None,
                iqm=aggregate(values, interquartile_mean),
                gap=aggregate(values, optimality_gap) if share and len(tasks) > 1 else None,
                low=float(min(task.min() for task in values)),
                high=float(max(task.max() for task in values)),
                profile=performance_profile(values, thresholds),
                scores=values,
            )
            for label, values in scores.items()
        },
        thresholds=thresholds,
        improvement={
            (one, other): probability_of_improvement(scores[one], scores[other])
            for one, other in combinations(labels, 2)
        },
        remarks=remarks,
    )
