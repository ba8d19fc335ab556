"""A page on which a person can read what the agents tell each other.  Needs matplotlib, which loads only here."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.bandwidth.extra import bandwidth_extra
from analysis.bandwidth.language.influence import Influence
from analysis.bandwidth.language.reading import Language
from analysis.bandwidth.language.topography import Topography
from heliograph.display import BLUE, VERMILION
from heliograph.errors import OutputFailed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_FEATURES = 10
HARDLY = 0.05
"""Of all steps, another message may change the action at so many before receivers are sent to act on messages."""
DOTS_PER_INCH = 130


def draw_language(language: Language, path: Path) -> None:
    """Write the page as a PNG.  Raises MissingExtra without matplotlib, OutputFailed if it cannot be written."""
    with bandwidth_extra("drawing the language analysis"):
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    headline = textwrap.wrap(language.headline(), 76, max_lines=2, placeholder=" …")
    features = max(3, min(SHOWN_FEATURES, len(language.meaning.best_carried(SHOWN_FEATURES))))
    top_inches, heights = 0.45 + 0.3 * len(headline), (0.55 + 0.28 * features, 1.9, 3.0)
    height = top_inches + sum(heights) + 2.8
    top = 1 - top_inches / height
    figure = Figure(figsize=(12.0, height), layout=ConstrainedLayoutEngine(rect=(0, 0, 1, top), h_pad=0.1))
    figure.text(0.012, 1 - 0.12 / figure.get_figheight(), "\n".join(headline), va="top", fontsize=17, fontweight="bold")
    figure.text(0.012, top + 0.08 / figure.get_figheight(), _subtitle(language), color="0.35", fontsize=10.5)
    rows = figure.add_gridspec(3, 1, height_ratios=heights)
    lower = rows[2].subgridspec(1, 3, width_ratios=(1.15, 1.0, 1.15))
    meaning = figure.add_subplot(rows[0])
    _meaning(meaning, language)
    _influence(figure.add_subplot(rows[1], sharex=meaning), language)
    _together(figure.add_subplot(lower[0]), language.influence)
    _redundancy(figure.add_subplot(lower[1]), language)
    _topography(figure.add_subplot(lower[2]), language.observations)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DOTS_PER_INCH)
    except OSError as error:
        raise OutputFailed(f"cannot write to {path}: {error.strerror}", remedy="Name another place") from error


def _subtitle(language: Language) -> str:
    sent = language.information
    whole = f", as a whole {sent.joint_bits:.1f}" if sent.joint_is_reliable else ""
    return (
        f"{language.environment}, {language.agents} agents. {sent.messages:,} messages, each of at most "
        f"{sent.message_bits:.1f} bits{whole}; bit-packed they take {sent.ceiling_bits}. "
        f"{language.speaking.size} of {language.message.categoricals} categoricals ever change."
    )


def _meaning(axes: Axes, language: Language) -> None:
    found, categoricals = language.meaning, language.message.categoricals
    shown = found.best_carried(SHOWN_FEATURES)
    axes.set_xlim(-0.5, categoricals - 0.5)
    if not shown:
        _say(axes, "What each part of a message is about", "No categorical goes with any named feature.")
        return
    carried = found.carried[:, shown]
    image = axes.imshow(carried.T, aspect="auto", cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    for categorical, place in np.argwhere(carried >= 0.1).tolist():
        share = carried[categorical, place]
        text = f"{100 * share:.0f}"
        axes.text(
            categorical, place, text, ha="center", va="center", fontsize=7.5, color="white" if share > 0.6 else "0.2"
        )
    of_state = {"state": " (state)", "observation": ""}
    labels = [f"{textwrap.shorten(found.features[i].name, 36)}{of_state[found.features[i].source]}" for i in shown]
    axes.set_yticks(range(len(shown)), labels)
    axes.set_xlabel("categorical of the message")
    axes.figure.colorbar(image, ax=axes, label="share carried", pad=0.01, format=lambda share, _: f"{share:.0%}")
    _head(
        axes,
        "What each part of a message is about",
        "Share of a feature's entropy that one categorical carries, in %; blank where it could be chance (p ≥ 0.05). "
        "Similar features are shown once.",
    )


def _influence(axes: Axes, language: Language) -> None:
    asked = language.influence
    if asked is None:
        _say(axes, "What receivers act on", "Not measured: needs the bundles that made the recording.")
        return
    shares = np.array([estimate.mean for estimate in asked.categorical])
    low, high = (np.array([getattr(each, end) for each in asked.categorical]) for end in ("low", "high"))
    axes.bar(range(len(shares)), shares, color=VERMILION, width=0.7)
    axes.vlines(range(len(shares)), low, high, color="0.45", linewidth=1)
    axes.set_ylim(0, min(1.0, max(0.05, 1.15 * float(high.max()))))
    axes.set(xlabel="categorical of the message", ylabel="changed actions")
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.1%}" if axes.get_ylim()[1] < 0.1 else f"{share:.0%}")
    axes.spines[["top", "right"]].set_visible(False)
    most = int(shares.argmax())
    title = (
        "Receivers hardly act on the messages"
        if asked.message.mean < HARDLY
        else f"Receivers act on categorical {most} more than on any other"
        if low[most] > np.delete(high, most).max(initial=0.0)
        else "No single part of a message decides what receivers do"
        if shares.max() < asked.message.mean / 3
        else "What receivers act on"
    )
    _head(
        axes,
        title,
        f"Share of {asked.asked} steps at which drawing this categorical anew changes a receiver's most likely action, "
        "with 95 % intervals.",
    )


def _together(axes: Axes, asked: Influence | None) -> None:
    if asked is None:
        _say(axes, "How much must be wrong", "Nobody was asked.")
        return
    numbers = [number for number, _ in asked.together]
    shares = [estimate.mean for _, estimate in asked.together]
    axes.fill_between(
        numbers,
        [each.low for _, each in asked.together],
        [each.high for _, each in asked.together],
        color=VERMILION,
        alpha=0.2,
        linewidth=0,
    )
    axes.plot(numbers, shares, color=VERMILION, marker="o")
    axes.axhline(asked.message.mean, color="0.4", linestyle="--", linewidth=1)
    axes.annotate(
        "another message instead",
        (numbers[0], asked.message.mean),
        xytext=(0, 4),
        textcoords="offset points",
        color="0.35",
        fontsize=9,
    )
    if numbers[-1] > 1:
        axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.minorticks_off()
    axes.set_ylim(0, min(1.08, max(0.1, 1.25 * max(*shares, asked.message.mean))))
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set(xlabel="categoricals drawn anew at once", ylabel="changed actions")
    axes.spines[["top", "right"]].set_visible(False)
    _head(axes, *wrong_parts(asked))


def wrong_parts(asked: Influence) -> tuple[str, str]:
    """Title and line below: the most wrong parts that change less than half of what another message changes, or one
    if there are none, with both shares."""
    shares = [(number, estimate.mean) for number, estimate in asked.together]
    harmless = [pair for pair in shares if pair[1] < asked.message.mean / 2]
    number, share = harmless[-1] if harmless else shares[0]
    title = f"{number} of {shares[-1][0]} wrong parts {'changes' if number == 1 else 'change'} {share:.0%}"
    return title, f"of the actions; another message instead changes {asked.message.mean:.0%}"


def _redundancy(axes: Axes, language: Language) -> None:
    shared = language.redundancy
    known = shared[np.isfinite(shared)]
    if not known.size:
        _say(axes, "Redundancy between agents", "No two agents ever sent different messages at the same step.")
        return
    axes.imshow(shared, cmap="Greens", vmin=0.0, vmax=1.0)
    if language.agents <= 10:
        for i, j in np.argwhere(np.isfinite(shared)).tolist():
            _in_cell(axes, j, i, f"{shared[i, j]:.0%}", shared[i, j])
    step = max(1, language.agents // 10)
    axes.set_xticks(range(0, language.agents, step))
    axes.set_yticks(range(0, language.agents, step))
    axes.set(xlabel="agent", ylabel="agent")
    _head(axes, f"Agents repeat {known.mean():.0%} of each other")


def _topography(axes: Axes, found: Topography) -> None:
    if not math.isfinite(found.similarity):
        _say(axes, "Topographic similarity", "All messages, or all observations, are the same.")
        return
    distance = found.observation_distance
    edges = np.unique(np.quantile(distance, np.linspace(0, 1, 11)))
    place = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, max(0, edges.size - 2))
    for bin_place in np.unique(place):
        chosen = place == bin_place
        low, middle, high = np.percentile(found.message_distance[chosen], (10, 50, 90))
        x = distance[chosen].mean()
        axes.vlines(x, low, high, color=BLUE, linewidth=4, alpha=0.35)
        axes.plot(x, middle, "o", color=BLUE)
    axes.set(xlabel="distance of two observations", ylabel="categoricals that differ")
    axes.set_ylim(bottom=-0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _head(
        axes,
        "Similar observations, similar messages" if found.similarity > 0.2 else "Messages hardly follow observations",
    )
    axes.text(
        0.98,
        0.05,
        f"Spearman {found.similarity:.2f}; median, and 10 to 90 % of pairs",
        transform=axes.transAxes,
        ha="right",
        color="0.35",
        fontsize=9,
    )


def _in_cell(axes: Axes, x: int, y: int, text: str, share: float, *, fontsize: float = 9) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=fontsize, color="white" if share > 0.6 else "0.2")


def _head(axes: Axes, title: str, below: str = "") -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=22 if below else 8)
    if below:
        text = axes.annotate(below, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points")
        text.set(fontsize=9.5, color="0.35", in_layout=False)


def _say(axes: Axes, title: str, text: str) -> None:
    """An axes with nothing to draw says why."""
    _head(axes, title)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.35", wrap=True)
    axes.tick_params(bottom=False, labelbottom=False, left=False, labelleft=False)
    axes.spines[:].set_visible(False)
