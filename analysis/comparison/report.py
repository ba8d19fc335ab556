"""A comparison in the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from heliograph.aggregates import Aggregate, Band
from analysis.comparison.results import Curves, LabelResult, Section

if TYPE_CHECKING:
    from rich.table import Table

FORMAT, VERSION = "heliograph-comparison", 1
CURVE_POINTS = 5
"""Columns of the table of a curve; the files hold all points."""
PROFILE_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the range of scores: the thresholds in the table of a profile."""
PLAIN_WIDTH = 160
"""Where no terminal sets a width, so that logs are not folded."""


def print_report(found: Sequence[Section], curves: Sequence[Curves]) -> None:
    """Tables to stdout: scores, improvement and profile of each section, curves of each task."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console = console if console.is_terminal else Console(width=PLAIN_WIDTH)
    for section in found:
        console.rule(Text(section.name, style="bold"), align="left")
        console.print(f"{section.measure}: {section.scored}", highlight=False, markup=False)
        console.print(_scores(section))
        if section.improvement:
            console.print(_improvement(section))
        console.print(_profile(section))
        for curve in curves:
            if curve.task == section.name and len(curve.steps) > 1:
                console.print(_curves(curve))
        for remark in section.remarks:
            console.print(f"- {remark}", highlight=False, markup=False)


def as_dict(found: Sequence[Section], curves: Sequence[Curves], *, metric: str, policy: str) -> dict[str, Any]:
    """For JSON: everything that is printed or drawn."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "metric": metric,
        "policy": policy,
        "sections": [
            {
                "name": section.name,
                "measure": section.measure,
                "scored": section.scored,
                "labels": {label: _label(result) for label, result in section.labels.items()},
                "improvement": [
                    {"of": one, "over": other, **vars(value)} for (one, other), value in section.improvement.items()
                ],
                "thresholds": section.thresholds.tolist(),
                "profiles": {label: _band(result.profile) for label, result in section.labels.items()},
                "remarks": list(section.remarks),
            }
            for section in found
        ],
        "curves": [
            {
                "task": curve.task,
                "env_steps": curve.steps.tolist(),
                "labels": {label: _band(band) for label, band in curve.bands.items()},
            }
            for curve in curves
        ],
    }


def _label(result: LabelResult) -> dict[str, Any]:
    return {
        "runs": result.runs,
        "env_steps": list(result.steps),
        "best_checkpoint": result.best,
        "scored": list(result.kinds),
        **{
            name: None if value is None else vars(value)
            for name, value in (
                ("mean", result.mean),
                ("median", result.median),
                ("iqm", result.iqm),
                ("optimality_gap", result.gap),
            )
        },
        "minimum": result.low,
        "maximum": result.high,
        "scores": [task.tolist() for task in result.scores],
    }


def _band(band: Band) -> dict[str, Any]:
    return {name: None if values is None else values.tolist() for name, values in vars(band).items()}


def _scores(section: Section) -> Table:
    results = section.labels
    mixed = len({result.kinds for result in results.values()}) > 1
    rows = {
        "": list(results),
        "runs": [str(result.runs) for result in results.values()],
        "after env steps": [_steps(*result.steps, best=result.best) for result in results.values()],
        "scored": [" or ".join(result.kinds) if mixed else "" for result in results.values()],
        "IQM [95 %]": [_words(result.iqm) for result in results.values()],
        "mean [95 %]": [_words(result.mean) for result in results.values()],
        "median [95 %]": [_words(result.median) for result in results.values()],
        "gap to 1 [95 %]": [_words(result.gap) for result in results.values()],
        "min … max of runs": [f"{_number(result.low)} … {_number(result.high)}" for result in results.values()],
    }
    shown = {heading: cells for heading, cells in rows.items() if any(cells)}
    return _table("", list(shown), zip(*shown.values(), strict=True))


def _improvement(section: Section) -> Table:
    labels = list(section.labels)

    def cell(one: str, other: str) -> str:
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

    rows = ([label, *(cell(label, other) for other in labels)] for label in labels)
    return _table("probability that a run of the row beats one of the column [95 %]", ["", *labels], rows)


def _profile(section: Section) -> Table:
    picks = [round(share * (len(section.thresholds) - 1)) for share in PROFILE_SHARES]
    rows = (
        [label, *(f"{result.profile.value[pick]:.0%}" for pick in picks)] for label, result in section.labels.items()
    )
    headings = ["", *(f"> {_number(section.thresholds[pick])}" for pick in picks)]
    return _table(f"share of runs with {section.measure} above", headings, rows)


def _curves(curve: Curves) -> Table:
    picks = np.unique(np.linspace(0, len(curve.steps) - 1, CURVE_POINTS).round().astype(int)).tolist()
    rows = []
    for label, band in curve.bands.items():
        points = [
            Aggregate(
                value=float(band.value[pick]),
                low=None if band.low is None else float(band.low[pick]),
                high=None if band.high is None else float(band.high[pick]),
            )
            for pick in picks
        ]
        rows.append([label, *map(_words, points)])
    headings = ["", *(f"{curve.steps[pick]:,}" for pick in picks)]
    return _table(f"{curve.measure}, IQM over runs [95 %], by environment steps", headings, rows)


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    # As texts, because labels and intervals have brackets, which rich would take for markup.
    table = Table(title=Text(title) if title else None, title_justify="left")
    for heading in headings:
        table.add_column(Text(heading), justify="right" if heading else "left", no_wrap=not heading)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


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
