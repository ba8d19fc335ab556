"""What the learning curve shows, as a person reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.algorithms.registry import algorithm_entry
from trainer.training.curve import draw_curve, scale_logarithmically, scale_plainly
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.drawn


def labels(values: list[float]) -> list[str]:
    """What stands at the ticks of such an axis."""
    figure = Figure(figsize=(9, 6))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(range(len(values)), values)
    scale_logarithmically(axes)
    figure.canvas.draw()
    low, high = axes.get_ylim()
    ticks = [*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks()]
    return [tick.label1.get_text() for tick in ticks if tick.label1.get_text() and low <= tick.get_loc() <= high]


@pytest.mark.parametrize("values", [[1.38, 1.385, 1.381], [0.9, 1.3, 1.1], [0.00012, 0.0004]])
def test_values_within_a_decade_stand_at_plain_numbers(values: list[float]) -> None:
    shown = labels(values)
    assert len(shown) >= 2
    assert len(set(shown)) == len(shown)
    low, high = min(values), max(values)
    assert all(low * 0.8 <= float(text) <= high * 1.25 for text in shown), shown


def test_values_over_decades_stand_at_powers_of_ten() -> None:
    assert any("10^" in text for text in labels([0.001, 30.0]))


@pytest.mark.parametrize(("most_steps", "is_drawn"), [(0, True), (200, False)])
def test_what_was_collected_is_drawn_only_of_whole_episodes(
    most_steps: int, is_drawn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that are cut, only what ended early is known."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    settings = load_settings("relay", [f"environment.most_steps={most_steps}"])
    folder = RunFolder.create(tmp_path / "run", settings)
    loss = algorithm_entry(settings.algorithm).curves.metrics[0]
    for step in (1, 2):
        record: dict[str, Any] = {"iteration": step, "env_steps": 100 * step, loss: 1.0 / step}
        folder.log(record | {"collect/outcome": 0.5, "evaluate/greedy_outcome": 0.6})
    draw_curve(folder)
    shown = {text.get_text().split(",")[0] for text in drawn[0].axes[0].get_legend().get_texts()}
    assert shown == ({"collecting", "evaluation"} if is_drawn else {"evaluation"})


def scaled(values: list[float]) -> tuple[tuple[float, float], str]:
    """The range of an axis of these, and what stands above it."""
    figure = Figure(figsize=(9, 2))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(values)
    scale_plainly(axes)
    figure.canvas.draw()
    return axes.get_ylim(), axes.yaxis.get_offset_text().get_text()


def test_what_differs_by_rounding_alone_is_a_flat_line_at_its_number() -> None:
    """Episodes of six steps, and what a model says of them."""
    (low, high), offset = scaled([6.0, 5.99997, 5.99999])
    assert low < 5.8
    assert high > 6.2
    assert offset == ""


def test_what_moves_keeps_its_range() -> None:
    (low, high), _ = scaled([2.0, 6.0])
    assert (low, high) == pytest.approx((1.8, 6.2))


def test_a_single_point_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that has learned once."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    settings = load_settings("relay", [])
    folder = RunFolder.create(tmp_path / "run", settings)
    loss = algorithm_entry(settings.algorithm).curves.metrics[0]
    folder.log({"iteration": 1, "env_steps": 100, loss: 1.0, "collect/outcome": 0.5, "held_out/reward_r2": 0.1})
    draw_curve(folder)
    lines = [line for axes in drawn[0].axes for line in axes.lines]
    assert len(lines) == 3
    assert {line.get_marker() for line in lines} == {"o"}
