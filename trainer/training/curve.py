"""The learning curve of a run as a PNG: what the team achieves, what its model or its critic still gets wrong, and for
a world model what it imagines beside what comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from heliograph.display import PALETTE
from heliograph.figures import SHARES
from trainer.algorithms.registry import algorithm_entry
from trainer.training.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HIGH, LOW = 3.0, 1.7
"""Inches of a panel: of the first two, and of those of a world model."""
WIDTH, LEFT, RIGHT, ABOVE, BELOW, TITLE = 9.0, 1.0, 1.8, 0.4, 0.5, 0.08
"""Inches of a picture: its width, the room beside, above and below its panels, and that above its title."""
LEGEND_CHARACTERS = 16
"""As many as fit into a line beside the panels."""
BETWEEN = 0.1
"""Between two panels, as a share of their mean height."""
STYLE = {
    **{"axes.grid": True, "grid.color": "0.92", "grid.linewidth": 0.8},
    **{"axes.spines.top": False, "axes.spines.right": False},
}
LEAST_SHOWN = -1.0
"""An R² below is drawn there: a model that knows nothing yet would hide the rest."""
LEAST_SPAN = 0.1
"""Of the y axis of a panel, as a share of its numbers."""
IMAGINATION_PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    *(
        (
            what,
            (
                (f"imagination/real_{what}", "real"),
                (f"imagination/imagined_{what}", "imagined"),
                (f"imagination/replayed_{what}", "imagined,\nreal actions"),
            ),
        )
        for what in ("return", "length")
    ),
    (
        "share",
        (
            ("held_out/reward_r2", "held-out R²\nof rewards"),
            ("held_out/predicted_ends_at_ends", "probability\nof real ends"),
            ("policy/imagined_after_end", "imagined\nafter the end"),
        ),
    ),
    (
        "nats",
        (
            ("policy/entropy", "policy's\nentropy"),
            ("model/kl", "KL"),
            ("model/kl_agent", "KL, agents'"),
            ("model/kl_global", "KL, global"),
        ),
    ),
    (
        "codes",
        (
            ("tokenizer/codes_in_use", "in use"),
            ("tokenizer/perplexity", "perplexity"),
            ("held_out/codes_in_use", "in use"),
            ("held_out/code_perplexity", "perplexity"),
        ),
    ),
)
"""Label of the y axis, and metrics with their labels; a panel is there if a run has one of its metrics."""
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
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels_of = _imagination_panels(records)
    heights = [HIGH] * 2 + [LOW] * len(panels_of)
    inches = sum(heights)
    figure = Figure(figsize=(WIDTH, inches))
    FigureCanvasAgg(figure)
    with rc_context(STYLE):
        panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    # Where there is room is known: to have it measured takes as long as to draw all.
    figure.subplots_adjust(
        left=LEFT / WIDTH, right=1 - RIGHT / WIDTH, bottom=BELOW / inches, top=1 - ABOVE / inches, hspace=BETWEEN
    )
    above, below = panels[:2]
    if not settings.environment.most_steps:  # of episodes that are cut, only those are known that ended early
        _line(above, *_points(records, "collect/outcome"), color="0.75", linewidth=1, label="collecting,\nsampled")
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
            label = fill(metric.rpartition("/")[2].replace("_", " "), LEGEND_CHARACTERS)
            _line(below, steps, values, color=colour, linewidth=1, label=label)
    scale_logarithmically(below)
    below.set_ylabel(curves.label)
    for axes, (label, curves_of) in zip(panels[2:], panels_of, strict=True):
        _draw_imagined(axes, records, curves_of)
        axes.set_ylabel(label)
        scale_plainly(axes)
    panels[-1].set_xlabel("environment steps")
    panels[-1].xaxis.set_major_formatter("{x:,.0f}")
    for axes in panels:
        axes.legend(**BESIDE)
    title = f"{settings.algorithm} on {settings.environment.id}, seed {settings.seed}"
    figure.suptitle(title, y=1 - TITLE / inches, verticalalignment="top")
    figure.savefig(folder.curve, dpi=110)


def _imagination_panels(records: Sequence[dict[str, Any]]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Those of what is imagined, if the run has any of them; an entropy alone is nothing imagined."""
    known = {name for record in records for name in record}
    if not any(name.startswith("held_out/") for name in known):
        return []
    found = [(label, tuple(curve for curve in curves if curve[0] in known)) for label, curves in IMAGINATION_PANELS]
    return [(label, curves) for label, curves in found if curves]


def _draw_imagined(axes: Axes, records: Sequence[dict[str, Any]], curves: Sequence[tuple[str, str]]) -> None:
    for (metric, label), colour in zip(curves, PALETTE, strict=False):
        steps, values = _points(records, metric)
        more = {"marker": "o", "markersize": 3} if metric.startswith("imagination/") else {}
        shown = [max(value, LEAST_SHOWN) for value in values] if metric == "held_out/reward_r2" else values
        _line(axes, steps, shown, color=colour, linewidth=1, label=label, **more)


def _line(axes: Axes, steps: Sequence[int], values: Sequence[float], **how: Any) -> None:
    """A curve, of which a single point can be seen, too."""
    alone: dict[str, Any] = {"marker": "o", "markersize": 3} if len(steps) == 1 else {}
    axes.plot(steps, values, **(how | alone))


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


def scale_plainly(axes: Axes) -> None:
    """Plain numbers on the y axis, and a span that rounding does not fill where nothing moves, as lengths may not."""
    low, high = axes.get_ylim()
    middle, least = (low + high) / 2, LEAST_SPAN * max(abs(low), abs(high))
    if high - low < least:
        axes.set_ylim(middle - least / 2, middle + least / 2)
    axes.ticklabel_format(axis="y", useOffset=False)


def _points(records: Sequence[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Environment steps and values of the records that have the metric."""
    found = [(record["env_steps"], record[name]) for record in records if name in record]
    return [steps for steps, _ in found], [value for _, value in found]
