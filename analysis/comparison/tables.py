"""The numbers behind the plots as CSV, a file per plot, and one with every run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from heliograph.aggregates import Aggregate, Band
from heliograph.errors import SettingsError
from analysis.comparison.results import Curves, Section
from analysis.comparison.tasks import Task

INTERVAL = ("value", "low", "high")


def write_tables(folder: Path, tasks: Sequence[Task], found: Sequence[Section], curves: Sequence[Curves]) -> list[Path]:
    """Write `scores.csv`, `curves.csv`, `profiles.csv`, `improvement.csv` and `runs.csv`; their paths.

    An interval or a step that is not known is empty.  Raises SettingsError if the folder cannot be written.
    """
    contents = {
        "scores.csv": (("section", "measure", "label", "runs", "statistic", *INTERVAL), _scores(found)),
        "curves.csv": (("task", "measure", "label", "env_steps", *INTERVAL), _curves(curves)),
        "profiles.csv": (("section", "measure", "label", "threshold", *INTERVAL), _profiles(found)),
        "improvement.csv": (("section", "of", "over", *INTERVAL), _improvement(found)),
        "runs.csv": (("task", "measure", "label", "source", "seed", "env_steps", "score", "scored"), _runs(tasks)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (columns, rows) in contents.items():
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(rows)
    except OSError as error:
        raise SettingsError(f"cannot write to {folder}: {error.strerror}", remedy="Name another: --output") from error
    return [folder / name for name in contents]


def _scores(found: Iterable[Section]) -> Iterator[list[Any]]:
    for section in found:
        for label, result in section.labels.items():
            statistics = {"iqm": result.iqm, "mean": result.mean, "median": result.median, "gap": result.gap}
            for name, value in statistics.items():
                if value is not None:
                    yield [section.name, section.measure, label, result.runs, name, *_interval(value)]


def _curves(curves: Iterable[Curves]) -> Iterator[list[Any]]:
    for curve in curves:
        for label, band in curve.bands.items():
            for steps, *interval in zip(curve.steps.tolist(), *_columns(band), strict=True):
                yield [curve.task, curve.measure, label, steps, *interval]


def _profiles(found: Iterable[Section]) -> Iterator[list[Any]]:
    for section in found:
        for label, result in section.labels.items():
            for threshold, *interval in zip(section.thresholds.tolist(), *_columns(result.profile), strict=True):
                yield [section.name, section.measure, label, threshold, *interval]


def _improvement(found: Iterable[Section]) -> Iterator[list[Any]]:
    for section in found:
        for (one, other), value in section.improvement.items():
            yield [section.name, one, other, *_interval(value)]


def _runs(tasks: Iterable[Task]) -> Iterator[list[Any]]:
    for task in tasks:
        for label, runs in task.runs.items():
            for run in runs:
                score = run.score
                yield [task.name, task.measure, label, run.source, run.seed, score.step, score.value, score.kind]


def _interval(value: Aggregate) -> list[float | None]:
    return [value.value, value.low, value.high]


def _columns(band: Band) -> list[list[float | None]]:
    missing: list[float | None] = [None] * len(band.value)
    return [missing if values is None else values.tolist() for values in (band.value, band.low, band.high)]
