"""A plot of each evaluation's calibration: what was imagined for starts, from the worst to the best, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heliograph.display import BLUE, VERMILION
from trainer.training.calibration import GROUPS
from trainer.training.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PLOTS, COLUMNS = 12, 4
"""Plots of a picture; of more evaluations some are left out, evenly, but never the last."""

READ_AS = "dots: fifths of the states, by imagined return\non the grey line what was imagined came"
REPLAYED = "diamond: all states, imagined with the actions that were taken"
"""Of runs in which that was measured."""


def draw_calibration(folder: RunFolder) -> None:
    """Draw `calibration.png` from `metrics.jsonl`; nothing where no evaluation has looked at what is imagined."""
    records = chosen([record for record in folder.history() if "imagination/real_return" in record])
    if not records:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(records))
    rows = -(-len(records) // columns)
    figure = Figure(figsize=(2.6 * max(columns, 2), 2.6 * rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axes, record in zip(every, records, strict=False):
        _draw(axes, record)
    for axes in every[len(records) :]:
        axes.set_axis_off()
    figure.supxlabel("return imagined from a state")
    figure.supylabel("return that came")
    settings = folder.settings()
    title = f"{settings.algorithm} on {settings.environment.id}, seed {settings.seed}"
    read_as = (
        f"{READ_AS}\n{REPLAYED}" if any("imagination/replayed_return" in record for record in records) else READ_AS
    )
    figure.suptitle(f"{title}\n{read_as}", fontsize=11)
    figure.savefig(folder.calibration, dpi=110)


def chosen(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most `MOST_PLOTS` of them, evenly spread, the last one among them."""
    count = min(MOST_PLOTS, len(records))
    return [records[(place + 1) * len(records) // count - 1] for place in range(count)]


def _draw(axes: Axes, record: Mapping[str, Any]) -> None:
    groups = [group for group in range(1, GROUPS + 1) if f"imagination/real_return_{group}" in record]
    imagined, real = (
        [record[f"imagination/{kind}_return_{group}"] for group in groups] for kind in ("imagined", "real")
    )
    axes.axline((0.0, 0.0), slope=1.0, color="0.8", linewidth=0.8, zorder=0)
    axes.plot(imagined, real, color=BLUE, marker="o", markersize=4, linewidth=1)
    if (replayed := record.get("imagination/replayed_return")) is not None:
        axes.plot(replayed, record["imagination/real_return"], color=VERMILION, marker="D", markersize=6, linestyle="")
    axes.set_title(f"{record['env_steps']:,} steps", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
