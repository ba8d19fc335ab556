"""Numbers and names as the report writes them, in the terminal and on the page alike."""

from __future__ import annotations

from typing import Any

from heliograph import display

MEASURED, COMPUTED, NOT_MEASURED = "measured", "computed", "not measured"
HOW = {MEASURED: "measured", COMPUTED: "computed", NOT_MEASURED: "not"}
"""How a number was found, and the style of its mark on the page."""

SCORES = {"won": "success", "arrived": "share arrived", "return": "return per agent"}
"""What a measure is called."""

AXES = {
    "erasure": "erasure: probability that a message is lost",
    "delay-ms": "delay of every message, in ms of virtual time",
    "jitter-ms": "jitter of the delay, in ms of virtual time",
    "deadline-ms": "how long a step waits, in ms of virtual time",
    "rate-bits": "bits that a link carries per step",
    "nearest": "nearest neighbours whose messages are received",
    "distance": "distance at which every other message is lost",
    "kept": "categoricals that are sent, the most informative first",
}
"""What the axes of a sweep are called, where their names alone do not tell."""

COUNTS = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "late": "late",
    "lost": "lost in the channel",
    "rejected": "rejected",
    "missing": "missing",
    "sent_bytes": "protobuf bytes",
    "http2_bytes": "HTTP/2 bytes",
}
"""What is counted of a link, and what it is called."""


def number(value: float | int | None) -> str:
    """Three figures behind the point below ten, one above; nothing where there is no number."""
    if value is None:
        return ""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return score(value)


def count(value: int | None) -> str:
    """With commas; nothing where there is no number."""
    return "" if value is None else f"{value:,}"


def interval(mean: float, low: float | None, high: float | None) -> str:
    """A mean and, where there is one, its interval."""
    return display.interval(mean, low, high, score)


def score(value: float | None) -> str:
    """With as many figures for round scores as for others."""
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def plain(value: Any) -> str:
    """A setting's value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "none"
    return str(value)
