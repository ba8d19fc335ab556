"""The tables of a comparison: those in the terminal, and the numbers behind the plots as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from analysis.comparison.results import Curves, LabelResult, Section
from analysis.comparison.tasks import Task
from analysis.tables.columns import Column, Table
from heliograph.aggregates import Aggregate, Band

CURVE_POINTS = 5
"""Columns of the table of a curve; the files hold all points."""
PROFILE_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the range of scores: the thresholds in the table of a profile."""

Labelled = tuple[str, LabelResult]


def scores(section: Section) -> Table[Labelled]:
    """A row per label; statistics that no label has are left out."""
    rows = list(section.labels.items())
    mixed = len({result.kinds for result in section.labels.values()}) > 1
    columns = [
        _label_column(),
        _number_column("runs", lambda row: str(row[1].runs)),
        _number_column("after env steps", lambda row: _steps(*row[1].steps, best=row[1].best)),
        _number_column("scored", lambda row: " or ".join(row[1].kinds) if mixed else ""),
        _number_column("IQM [95 %]", lambda row: _words(row[1].iqm)),
        _number_column("mean [95 %]", lambda row: _words(row[1].mean)),
        _number_column("median [95 %]", lambda row: _words(row[1].median)),
        _number_column("gap to 1 [95 %]", lambda row: _words(row[1].gap)),
        _number_column("min … max of runs", lambda row: f"{_number(row[1].low)} … {_number(row[1].high)}"),
    ]
    return Table(columns=[column for column in columns if any(map(column.written, rows))], rows=rows)


def improvement(section: Section) -> Table[Labelled]:
    """A matrix of labels."""

    def versus(one: str, other: str) -> str:
        if one == other:
            return ""
        if (one, other) in section.improvement:
            return _words(section.improvement[one, other])
        value = section.improvement[other, one]
        turned = Aggregate(
            value=1 - value.value,
            low=None if value.high is None else 1 - value.high,
            high=None if value.low is None else 1 - value.low,
        )
        return _words(turned)

    def column(other: str) -> Column[Labelled]:
        return _number_column(other, lambda row: versus(row[0], other))

    return Table(
        title="probability that a run of the row beats one of the column [95 %]",
        columns=[_label_column(), *map(column, section.labels)],
        rows=list(section.labels.items()),
    )


def profile(section: Section) -> Table[Labelled]:
    """Shares of runs above some of the thresholds."""

    def column(share: float) -> Column[Labelled]:
        pick = round(share * (len(section.thresholds) - 1))
        return _number_column(f"> {_number(section.thresholds[pick])}", lambda row: f"{row[1].profile.value[pick]:.0%}")

    return Table(
        title=f"share of runs with {section.measure} above",
        columns=[_label_column(), *map(column, PROFILE_SHARES)],
        rows=list(section.labels.items()),
    )


def curve(found: Curves) -> Table[tuple[str, Band]]:
    """Some points of the learning curves."""

    def column(pick: int) -> Column[tuple[str, Band]]:
        return Column(
            heading=f"{found.steps[pick]:,}", value=lambda row: _words(_at(row[1], pick)), is_number=True, wraps=True
        )

    picks = np.unique(np.linspace(0, len(found.steps) - 1, CURVE_POINTS).round().astype(int)).tolist()
    return Table(
        title=f"{found.measure}, IQM over runs [95 %], by environment steps",
        columns=[Column(heading="", value=lambda row: row[0], wraps=False), *map(column, picks)],
        rows=list(found.bands.items()),
    )


def files(
    tasks: Sequence[Task], found: Sequence[Section], curves: Sequence[Curves]
) -> Iterator[tuple[str, Table[Any]]]:
    """The CSV files by name: one per plot, and one with every run.  What is not known is empty."""
    yield "scores.csv", _csv("section", "measure", "label", "runs", "statistic", *_INTERVAL, rows=_scores(found))
    yield "curves.csv", _csv("task", "measure", "label", "env_steps", *_INTERVAL, rows=_curves(curves))
    yield "profiles.csv", _csv("section", "measure", "label", "threshold", *_INTERVAL, rows=_profiles(found))
    yield "improvement.csv", _csv("section", "of", "over", *_INTERVAL, rows=_improvement(found))
    columns = ("task", "measure", "label", "source", "seed", "env_steps", "score", "scored")
    yield "runs.csv", _csv(*columns, rows=_runs(tasks))


_INTERVAL = ("value", "low", "high")
CsvRow = Sequence[Any]


def _csv(*fields: str, rows: Iterator[CsvRow]) -> Table[CsvRow]:
    def column(place: int) -> Column[CsvRow]:
        return Column(field=fields[place], value=lambda row: row[place])

    return Table(columns=[column(place) for place in range(len(fields))], rows=list(rows))


def _scores(found: Sequence[Section]) -> Iterator[CsvRow]:
    for section in found:
        for label, result in section.labels.items():
            statistics = {"iqm": result.iqm, "mean": result.mean, "median": result.median, "gap": result.gap}
            for name, value in statistics.items():
                if value is not None:
                    yield section.name, section.measure, label, result.runs, name, *_interval(value)


def _curves(curves: Sequence[Curves]) -> Iterator[CsvRow]:
    for found in curves:
        for label, band in found.bands.items():
            for place, steps in enumerate(found.steps.tolist()):
                yield found.task, found.measure, label, steps, *_interval(_at(band, place))


def _profiles(found: Sequence[Section]) -> Iterator[CsvRow]:
    for section in found:
        for label, result in section.labels.items():
            for place, threshold in enumerate(section.thresholds.tolist()):
                yield section.name, section.measure, label, threshold, *_interval(_at(result.profile, place))


def _improvement(found: Sequence[Section]) -> Iterator[CsvRow]:
    for section in found:
        for (one, other), value in section.improvement.items():
            yield section.name, one, other, *_interval(value)


def _runs(tasks: Sequence[Task]) -> Iterator[CsvRow]:
    for task in tasks:
        for label, runs in task.runs.items():
            for run in runs:
                score = run.score
                yield task.name, task.measure, label, run.source, run.seed, score.step, score.value, score.kind


def _interval(value: Aggregate) -> tuple[float, float | None, float | None]:
    return value.value, value.low, value.high


def _at(band: Band, place: int) -> Aggregate:
    """One point of a band."""
    return Aggregate(
        value=float(band.value[place]),
        low=None if band.low is None else float(band.low[place]),
        high=None if band.high is None else float(band.high[place]),
    )


def _label_column() -> Column[Labelled]:
    return Column(heading="", value=lambda row: row[0], wraps=False)


def _number_column(heading: str, value: Callable[[Labelled], str]) -> Column[Labelled]:
    return Column(heading=heading, value=value, is_number=True, wraps=True)


def _words(value: Aggregate | None) -> str:
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return f"{_number(value.value)} [n/a]"
    return f"{_number(value.value)} [{_number(value.low)}, {_number(value.high)}]"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _steps(low: int, high: int, *, best: bool) -> str:
    steps = f"{low:,}" if low == high else f"{low:,} … {high:,}"
    return f"{steps} (best until then)" if best else steps
