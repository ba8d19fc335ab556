"""The plots of a comparison, as PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.comparison.results import Curves, Section
from heliograph.aggregates import Aggregate
from heliograph.display import BLUE, PALETTE, colour
from heliograph.errors import OutputFailed
from heliograph.figures import SHARES

LINES = ("-", "--", ":", "-.")
"""After the last colour they begin again with the next kind of line."""
PANEL_INCHES = (4.6, 3.2)
MOST_COLUMNS = 3
DOTS_PER_INCH = 130
BAND = {"alpha": 0.18, "linewidth": 0}
BANDS = "line: interquartile mean (IQM) over runs; band: its 95 % interval, which a single run has none of"
"""Under curves, since a line without a band looks like one that is sure."""
PROFILES = "band: 95 % interval, which a single run has none of"


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a label's lines look, in every panel alike."""

    colour: str
    line: str
    """One of LINES."""


def draw_plots(folder: Path, found: Sequence[Section], curves: Sequence[Curves]) -> list[Path]:
    """Draw `scores.png`, `profiles.png`, where there are curves `curves.png` and for two labels or more
    `improvement.png`; their paths.

    Raises OutputFailed if the folder cannot be written.
    """
    labels = list(dict.fromkeys(label for section in found for label in section.labels))
    styles = {
        label: Style(colour=colour(index), line=LINES[index // len(PALETTE) % len(LINES)])
        for index, label in enumerate(labels)
    }
    figures = {
        "scores.png": _panels(
            found,
            lambda axes, section: _scores(axes, section, styles),
            rows=labels,
            note="line and bar: IQM and its 95 % interval; diamond: mean; dots: single runs",
        ),
        "profiles.png": _panels(
            found, lambda axes, section: _profile(axes, section, styles), note=PROFILES, legend=styles
        ),
    }
    if curves:
        figures["curves.png"] = _panels(
            curves, lambda axes, curve: _curve(axes, curve, styles), note=BANDS, legend=styles
        )
    compared = [section for section in found if section.improvement]
    if compared:
        pairs = [_versus(one, other) for section in compared for one, other in section.improvement]
        figures["improvement.png"] = _panels(
            compared,
            _improvement,
            rows=list(dict.fromkeys(pairs)),
            note="line and bar: probability that a run of the first beats one of the second, and its 95 % interval",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / name, dpi=DOTS_PER_INCH)
    except OSError as error:
        raise OutputFailed(f"cannot write to {folder}: {error.strerror}", remedy="Name another: --out") from error
    return [folder / name for name in figures]


def _panels(
    items: Sequence[Any],
    draw: Callable[[Any, Any], None],
    *,
    rows: Sequence[str] = (),
    note: str = "",
    legend: Mapping[str, Style] | None = None,
) -> Figure:
    """A panel per item, large enough for the names of `rows` beside it; one note or legend below them all."""
    columns = min(MOST_COLUMNS, len(items))
    lines = ceil(len(items) / columns)
    width, height = PANEL_INCHES
    if rows:
        height = 0.9 + 0.45 * len(rows)
        width = 3.2 + 0.085 * max(len(line) for name in rows for line in name.splitlines())
    size = max(width * columns, 6.4), height * lines + 0.4
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, item in zip(grid, items, strict=False):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x" if rows else "both", color="0.9", linewidth=0.8)
        axes.set_axisbelow(True)
        draw(axes, item)
    for axes in grid[len(items) :]:
        axes.set_axis_off()
    if note and not legend:
        figure.supxlabel(note, fontsize=9)
    if legend:
        handles = [
            Line2D([], [], linewidth=2, label=label, color=style.colour, linestyle=style.line)
            for label, style in legend.items()
        ]
        legend_below(figure, handles, note=note)
    return figure


def legend_below(figure: Figure, handles: Sequence[Line2D], *, note: str) -> None:
    """The names of the lines under all panels, titled by how to read them: a label of the figure's own would lie there,
    too."""
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(4, len(handles)),
        frameon=False,
        title=note,
        title_fontsize=9,
    )


def _curve(axes: Any, curve: Curves, styles: Mapping[str, Style]) -> None:
    for label, band in curve.bands.items():
        marker = "o" if len(curve.steps) == 1 else None
        axes.plot(
            curve.steps,
            band.value,
            linewidth=1.8,
            marker=marker,
            color=styles[label].colour,
            linestyle=styles[label].line,
        )
        if band.low is not None and band.high is not None:
            axes.fill_between(curve.steps, band.low, band.high, color=styles[label].colour, **BAND)
    axes.set(title=_fitting(curve.task), xlabel="environment steps", ylabel=f"{curve.measure}, IQM over runs")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(short_steps))
    if curve.measure in SHARES:
        axes.set_ylim(-0.02, 1.02)


def _scores(axes: Any, section: Section, styles: Mapping[str, Style]) -> None:
    """Interquartile mean with its interval as a bar, the mean as a hollow mark, single runs as dots below."""
    for row, (label, result) in enumerate(section.labels.items()):
        drawn = styles[label].colour
        if result.iqm.low is not None and result.iqm.high is not None:
            axes.barh(row, result.iqm.high - result.iqm.low, left=result.iqm.low, height=0.44, color=drawn, alpha=0.35)
        axes.plot([result.iqm.value] * 2, [row - 0.22, row + 0.22], color=drawn, linewidth=2.5, solid_capstyle="butt")
        axes.plot(result.mean.value, row, marker="D", markersize=5, markerfacecolor="white", color=drawn)
        runs = np.concatenate(result.scores)
        axes.plot(runs, np.full(len(runs), row + 0.34), ".", color=drawn, markersize=5, alpha=0.7)
    axes.set_yticks(range(len(section.labels)), [_named(label, r.runs) for label, r in section.labels.items()])
    axes.set_ylim(len(section.labels) - 0.4, -0.6)
    axes.set(title=_fitting(section.name), xlabel=section.measure)
    if section.share:
        axes.set_xlim(-0.02, 1.02)
    else:
        axes.use_sticky_edges = False  # of the bars, which would end at the frame
        axes.margins(x=0.08)


def _profile(axes: Any, section: Section, styles: Mapping[str, Style]) -> None:
    for label, result in section.labels.items():
        band = result.profile
        axes.plot(
            section.thresholds,
            band.value,
            linewidth=1.8,
            drawstyle="steps-post",
            color=styles[label].colour,
            linestyle=styles[label].line,
        )
        if band.low is not None and band.high is not None:
            axes.fill_between(section.thresholds, band.low, band.high, step="post", color=styles[label].colour, **BAND)
    axes.set(title=_fitting(section.name), ylim=(-0.02, 1.02))
    axes.set(xlabel=f"{section.measure} τ", ylabel="share of runs above τ")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))


def _improvement(axes: Any, section: Section) -> None:
    """Every pair as a row: right of the middle the label named first is better."""
    axes.axvline(0.5, color="0.4", linewidth=1, linestyle="--")
    for row, value in enumerate(section.improvement.values()):
        _interval_bar(axes, row, value)
    names = [_versus(one, other) for one, other in section.improvement]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set(title=_fitting(section.name), xlabel="probability of improvement")


def _interval_bar(axes: Any, row: int, value: Aggregate) -> None:
    if value.low is not None and value.high is not None:
        axes.barh(row, value.high - value.low, left=value.low, height=0.44, color=BLUE, alpha=0.35)
    axes.plot([value.value] * 2, [row - 0.22, row + 0.22], color=BLUE, linewidth=2.5, solid_capstyle="butt")


def _named(label: str, runs: int) -> str:
    return f"{label}\n{runs} run{'s' if runs != 1 else ''}"


def _versus(one: str, other: str) -> str:
    return f"{one}\nover {other}"


def short_steps(steps: float, _: Any) -> str:
    """A number on an axis, as `20k`; for matplotlib, which gives its place as well."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(steps) >= size:
            return f"{steps / size:g}{unit}"
    return f"{steps:g}"


def _fitting(title: str) -> str:
    """A world with many changed parameters has a long name; the tables and the CSV have it whole."""
    return shorten(title.replace(",", ", "), width=60, placeholder=" …")
