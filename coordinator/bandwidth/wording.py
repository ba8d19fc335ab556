"""Numbers and names as the report writes them, in the terminal and on the page alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEASURED, COMPUTED, NOT_MEASURED = "measured", "computed", "not measured"
HOW = {MEASURED: "measured", COMPUTED: "computed", NOT_MEASURED: "not"}
"""How a number was found, and the style of its mark on the page."""

SCORES = {"won": "success", "arrived": "share arrived", "return": "return per agent"}
"""What a measure is called."""

SHARES = ("won", "arrived")
"""Measures between 0 and 1."""


def number(value: float | int | None) -> str:
    """Three figures behind the point below ten, one above; nothing where there is no number."""
    if value is None:
        return ""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def interval(value: Mapping[str, float | None]) -> str:
    """A mean and, where there is one, its interval."""
    if value["low"] is None or value["high"] is None:
        return number(value["mean"])
    return f"{number(value['mean'])} [{number(value['low'])}, {number(value['high'])}]"


def plain(value: Any) -> str:
    """A setting's value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "none"
    return str(value)
