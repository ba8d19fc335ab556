"""Learning curves of a campaign: over environment steps, and over what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.campaign.document import CampaignReport, WorldReport
from analysis.campaign.scores import Curve
from analysis.comparison.plots import BAND, BANDS, DOTS_PER_INCH, LINES, PANEL_INCHES, Style, legend_below, short_steps
from heliograph.display import PALETTE, colour

AXES = (
    ("by_steps", "environment steps", short_steps),
    ("by_cpu_seconds", "processor time of training, seconds", lambda seconds, _: f"{seconds:,g}"),
)


def figures(report: CampaignReport) -> dict[str, Figure]:
    """A picture for each policy, by its file's name; none where no run of that policy has a curve."""
    labels = list(dict.fromkeys(found.label for world in report.worlds for found in world.labels))
    styles = {
        label: Style(colour=colour(place), line=LINES[place // len(PALETTE) % len(LINES)])
        for place, label in enumerate(labels)
    }
    policies = list(dict.fromkeys(world.policy for world in report.worlds))
    made = {}
    for policy in policies:
        worlds = [world for world in report.worlds if world.policy == policy and _has_curves(world)]
        if worlds:
            made[f"curves-{policy}.png"] = _figure(worlds, styles)
    return made


def save(figure: Figure, path: Any) -> None:
    """Raises OSError."""
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _figure(worlds: Sequence[WorldReport], styles: Mapping[str, Style]) -> Figure:
    """A row for each world: steps on the left, cost on the right."""
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(AXES), height * len(worlds) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(worlds), len(AXES), squeeze=False)
    drawn = []
    for row, world in zip(grid, worlds, strict=True):
        for axes, (which, name, tick) in zip(row, AXES, strict=True):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(color="0.9", linewidth=0.8)
            axes.set_axisbelow(True)
            for found in world.labels:
                if (curve := getattr(found, which)) is not None:
                    _line(axes, curve, styles[found.label])
                    drawn.append(found.label)
            axes.set(title=world.world, xlabel=name, ylabel=f"{world.measure}, {world.policy}, IQM")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(FuncFormatter(tick))
    handles = [
        Line2D([], [], linewidth=2, label=label, color=style.colour, linestyle=style.line)
        for label, style in styles.items()
        if label in drawn
    ]
    legend_below(figure, handles, note=BANDS)
    return figure


def _line(axes: Any, curve: Curve, style: Style) -> None:
    band = curve.band
    marker = "o" if len(curve.at) == 1 else None
    axes.plot(curve.at, band.value, linewidth=1.8, marker=marker, color=style.colour, linestyle=style.line)
    if band.low is not None and band.high is not None:
        axes.fill_between(curve.at, band.low, band.high, color=style.colour, **BAND)


def _has_curves(world: WorldReport) -> bool:
    return any(found.by_steps is not None for found in world.labels)
