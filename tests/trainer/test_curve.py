"""The learning curve's axis of losses, as a person reads it."""

from __future__ import annotations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.training.curve import scale_logarithmically


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
