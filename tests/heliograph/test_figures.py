"""Figures are exact, at least so much, or unknown, and say why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from heliograph.figures import Inexact, doubts, figures, joined, written


@dataclass(frozen=True, kw_only=True)
class Found:
    sent: int | None
    mean: float | None
    inexact: Mapping[str, Inexact] = field(default_factory=dict)


def test_a_figure_without_a_doubt_is_its_number():
    found = Found(**joined(figures({"sent": 0}, doubt=""), figures({"mean": None}, doubt="")))
    assert found == Found(sent=0, mean=None)
    assert written(found, "sent") == "0"
    assert written(found, "mean") == "", "a mean of nothing does not exist, which is not unknown"
    assert doubts(found) == []


def test_what_was_counted_is_a_bound_of_sums_and_of_nothing_else():
    found = Found(**joined(figures({"sent": 7}, doubt="node 1 died"), figures({"mean": 2.5}, doubt="so", bounds=False)))
    assert (found.sent, found.mean) == (None, None)
    assert written(found, "sent", "{:.1f}".format) == "at least 7.0"
    assert written(found, "mean") == "unknown"
    assert doubts(found) == ["node 1 died", "so"]
    assert asdict(found)["inexact"]["sent"] == {"at_least": 7, "why": "node 1 died"}


def test_nothing_counted_is_unknown_and_not_at_least_zero():
    found = Found(**joined(figures({"sent": 0}, doubt="node 1 died"), figures({"mean": None}, doubt="node 1 died")))
    assert written(found, "sent") == "unknown"
    assert written(found, "mean") == ""
    assert doubts(found) == ["node 1 died"]
