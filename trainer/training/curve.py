"""The learning curve of a run as a PNG: what the team achieves, and what its model or its critic still gets wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heliograph.display import PALETTE
from trainer.algorithms.registry import algorithm_entry
from trainer.training.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARES = ("won", "arrived")
BESIDE = {"bbox_to_anchor": (1.01, 1.0), "loc": "upper left", "frameon": False}
"""Where a legend hides no curve."""


def draw_curve(folder: RunFolder, *, measure: str = "outcome") -> None:
    """Draw `learning_curve.png` from `metrics.jsonl`; nothing if nothing was learned yet.

    `measure` is what the outcome is: won and arrived are shares, drawn from 0 to 1.
    """
    settings = folder.settings()
    curves = algorithm_entry(settings.algorithm).curves
    records = [record for record in folder.history() if set(curves.metrics) & record.keys()]
    if not records:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(*_points(records, "collect/outcome"), color="0.75", linewidth=1, label="collecting,\nsampled")
    for kind, colour in zip(("greedy", "sampled"), PALETTE, strict=False):
        steps, values = _points(records, f"evaluate/{kind}_outcome")
        if steps:
            above.plot(steps, values, color=colour, marker="o", markersize=3, label=f"evaluation,\n{kind}")
    above.set_ylabel(measure)
    if measure in SHARES:
        above.set_ylim(-0.02, 1.02)
    for metric, colour in zip(curves.metrics, PALETTE, strict=False):
        steps, values = _points([record for record in records if record.get(metric, 0) > 0], metric)
        if steps:
            below.plot(steps, values, color=colour, linewidth=1, label=metric.rpartition("/")[2].replace("_", " "))
    scale_logarithmically(below)
    below.set_ylabel(curves.label)
    below.set_xlabel("environment steps")
    for axes in (above, below):
        axes.grid(color="0.92", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(**BESIDE)
    figure.suptitle(f"{settings.algorithm} on {settings.environment.id}, seed {settings.seed}")
    figure.savefig(folder.curve, dpi=110)


def scale_logarithmically(axes: Axes) -> None:
    """Give what is drawn a logarithmic y axis; with plain numbers where all is within a decade."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 10 * low:
        from matplotlib.ticker import ScalarFormatter

        for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            plain = ScalarFormatter(useOffset=False)
            plain.set_scientific(False)
            set_formatter(plain)


def _points(records: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Environment steps and values of the records that have the metric."""
    found = [(record["env_steps"], record[name]) for record in records if name in record]
    return [steps for steps, _ in found], [value for _, value in found]
