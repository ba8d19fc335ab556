"""The report's plots, from its document alone.  Needs matplotlib; only `drawing` beside it imports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.bandwidth.grid import BLIND, CLEAR
from analysis.bandwidth.information import EntropyDocument
from analysis.bandwidth.report.document import BandwidthReport, Curve, CurvePoint, SweepDocument
from analysis.bandwidth.report.formatting import AXES, SCORES
from analysis.bandwidth.teams import TEAMS
from coordinator.plan.settings import PERMUTED
from heliograph.display import BLUE, PALETTE, VERMILION, colour
from heliograph.figures import SHARES

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
LINK_SIZES = {"http2_bytes": "bytes of HTTP/2 frames", "sent_bytes": "bytes of protobuf", "sent": "messages"}
BAND = {"alpha": 0.18, "linewidth": 0}


def layers(report: BandwidthReport) -> Figure:
    """What each layer adds to a message, one bar from the information to IP."""
    figure, (axes,) = _figure(9.2, 2.5)
    known = [(row.name, row.bytes_per_message) for row in report.layers if row.bytes_per_message is not None]
    left = 0.0
    for place, (name, size) in enumerate(known):
        added = size - left
        axes.barh(0, max(added, 0.0), left=left, height=0.55, color=colour(place), edgecolor="white", linewidth=1.5)
        axes.plot([], [], "s", markersize=9, color=colour(place), label=f"{name}: {added:+.1f} bytes")
        left = max(left, size)
        axes.text(left, 0.33, f"{left:.1f}", ha="center", va="bottom", fontsize=9)
    axes.set(yticks=[], ylim=(-0.4, 0.62), xlabel="bytes per message", xlim=(0, left * 1.04 or 1))
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def links(report: BandwidthReport) -> Figure:
    """What was sent over every directed link: bytes at the outermost layer that tells links apart, or messages."""
    count, found = report.summary.agents, report.links
    name = next(name for name in LINK_SIZES if all(getattr(link, name) is not None for link in found))
    sent = np.full((count, count), np.nan)
    for link in found:
        sent[link.sender, link.receiver] = getattr(link, name)
    figure, (axes,) = _figure(1.9 + 0.62 * count, 1.5 + 0.55 * count)
    _heat(figure, axes, sent, label=LINK_SIZES[name], text=_short)
    axes.set(xlabel="to agent", ylabel="from agent")
    return figure


def entropy(found: EntropyDocument) -> Figure:
    """Entropy of each categorical in bits, of those that it could hold."""
    bits = found.categorical_bits
    figure, (axes,) = _figure(9.2, 2.9)
    axes.bar(range(len(bits)), bits, color=BLUE, label="entropy")
    given = found.categorical_bits_given_previous
    if given is not None:
        axes.bar(range(len(bits)), given, width=0.4, color=VERMILION, label="given the sender's previous message")
    ceiling = found.categorical_ceiling_bits
    axes.axhline(ceiling, color="0.4", linestyle="--", linewidth=1, label=f"maximum: {ceiling:g} bits")
    axes.set(xlabel="categorical", ylabel="bits", ylim=(0, ceiling * 1.05), xlim=(-0.7, len(bits) - 0.3))
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def entropy_by_step(found: EntropyDocument) -> Figure:
    """Bits of each categorical over the steps of an episode."""
    bits = np.array(found.categorical_bits_by_step, dtype=float)  # [T, K]
    figure, (axes,) = _figure(9.2, 3.4)
    image = axes.imshow(bits.T, aspect="auto", cmap="viridis", vmin=0.0, interpolation="nearest", origin="lower")
    axes.grid(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axes, label="bits over agents and episodes")
    axes.set(xlabel="step of the episode", ylabel="categorical")
    return figure


def score_against_bits(sweep: SweepDocument) -> Figure:
    """All curves of a sweep, against the bits that arrived and against those that were sent."""
    figure, panels = _figure(10.4, 4.3, panels=2)
    drawn = [curve for curve in sweep.curves if curve.axis not in (CLEAR, BLIND, PERMUTED)]
    codecs = {curve.codec for curve in drawn}
    drawn += [curve for curve in sweep.curves if curve.axis == CLEAR and curve.codec not in codecs]
    for axes, bits in zip(panels, ("read_bits", "sent_bits"), strict=True):
        for place, curve in enumerate(drawn):
            places = [getattr(point, bits) for point in curve.points]
            _curve(axes, places, curve.points, place, label=curve.label)
            for x, point in zip(places, curve.points, strict=True) if curve.axis == TEAMS else ():
                # Beside the point and not above it, where the frame is for who wins all.
                axes.annotate(
                    point.value, (x, point.score), xytext=(7, 0), textcoords="offset points", fontsize=7, va="center"
                )
        _levels(axes, sweep)
        axes.set_xlabel(f"{bits.partition('_')[0]} bits per agent and step")
        axes.set_ylabel(_score_label(sweep))
        axes.set_xlim(left=0)
        _share(axes, sweep.measure)
        if (whole := sweep.whole_exchange_bits) is not None:
            beta = axes.secondary_xaxis("top", functions=(lambda bits, by=whole: bits / by, lambda b, by=whole: b * by))
            beta.set_xlabel("beta: share of a whole exchange")
    _legend(figure, panels[0])
    return figure


def score_against_faults(sweep: SweepDocument) -> Figure | None:
    """A panel per axis of the sweep whose values are numbers; None if it has no such axis."""
    families: dict[str, list[Curve]] = {}
    for curve in sweep.curves:
        if all(_is_number(point.value) for point in curve.points):
            families.setdefault(curve.axis, []).append(curve)
    if not families:
        return None
    figure, panels = _figure(10.4 if len(families) > 1 else 7.0, 3.9 * -(-len(families) // 2), panels=len(families))
    labels = list(dict.fromkeys(curve.label for curves in families.values() for curve in curves))
    for axes, (axis, curves) in zip(panels, families.items(), strict=False):
        for curve in curves:
            points = sorted(curve.points, key=lambda point: float(point.value))
            _curve(
                axes,
                [float(point.value) for point in points],
                points,
                labels.index(curve.label),
                label=curve.label,
            )
        _levels(axes, sweep)
        axes.set(xlabel=AXES.get(axis, axis), ylabel=_score_label(sweep))
        if len({point.value for curve in curves for point in curve.points}) == 1:
            axes.set_xticks([float(curves[0].points[0].value)])  # a scale around it would say nothing
        _share(axes, sweep.measure)
    _legend(figure, *panels)
    return figure


def _curve(axes: Any, x: Sequence[float], points: Sequence[CurvePoint], place: int, *, label: str) -> None:
    drawn = colour(place)
    style = {"marker": MARKERS[place % len(MARKERS)], "linestyle": LINES[place // len(PALETTE) % len(LINES)]}
    # Ever thinner, because the curves of lossless codecs lie upon one another.
    size = {"linewidth": max(1.4, 3.0 - 0.8 * place), "markersize": max(4.5, 8 - 2 * place)}
    axes.plot(x, [point.score for point in points], color=drawn, label=label, **style, **size)
    bounds = [(point.low, point.high) for point in points if point.low is not None and point.high is not None]
    if len(bounds) < len(points):
        return
    low, high = zip(*bounds, strict=True)
    if len(set(x)) > 1 and list(x) in (sorted(x), sorted(x, reverse=True)):
        axes.fill_between(x, low, high, color=drawn, **BAND)
    else:  # a band of one point cannot be seen, and one that turns back upon itself not be read
        axes.vlines(x, low, high, color=drawn, alpha=0.35)


def _levels(axes: Any, sweep: SweepDocument) -> None:
    """The lines that curves are read against."""
    bound = "best found without messages" if sweep.blind_bound_measured else "no-communication bound"
    for level, style, label in (
        (sweep.clear_level, "-", "nothing lost"),
        (sweep.blind_level, "--", "every message masked"),
        (sweep.permuted_level, "-.", "messages of another episode"),
        (sweep.blind_bound, ":", bound),
    ):
        if level is not None:
            axes.axhline(level, color="0.35", linestyle=style, linewidth=1, zorder=1, label=label)


def _score_label(sweep: SweepDocument) -> str:
    return f"{SCORES.get(sweep.measure or '', 'score')}, {sweep.statistic}"


def _share(axes: Any, measure: str | None) -> None:
    if measure in SHARES:
        axes.set_ylim(-0.02, 1.02)


def _legend(figure: Figure, *panels: Any) -> None:
    """One for all panels, below them, where it hides no curve."""
    named = {name: handle for axes in panels for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        named.values(), named, loc="outside lower center", ncols=min(3, len(named)), frameon=False, fontsize=9
    )


def _heat(figure: Figure, axes: Any, values: npt.NDArray[np.float64], *, label: str, text: Any) -> None:
    """A matrix in colours, with its numbers; NaN is left white."""
    image = axes.imshow(values, cmap="Blues", vmin=0.0)
    top = np.nanmax(values, initial=0.0)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "white" if value > 0.6 * top > 0 else "#1d2733"
            axes.text(column, row, text(value), ha="center", va="center", fontsize=8.5, color=ink)
    figure.colorbar(image, ax=axes, label=label)
    axes.set(xticks=range(values.shape[1]), yticks=range(values.shape[0]))
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _figure(width: float, height: float, *, panels: int = 1) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    columns = min(2, panels)
    grid = list(figure.subplots(-(-panels // columns), columns, squeeze=False).flat)
    for axes in grid[:panels]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="both", color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
    for axes in grid[panels:]:
        axes.set_axis_off()
    return figure, grid[:panels]


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
