"""Figures that are known exactly: a report has None for others, and who asks here has refused such a report before."""

from __future__ import annotations

from typing import TypeVar

Number = TypeVar("Number", int, float)


def exact(value: Number | None) -> Number:
    """A figure of a summary that has no inexact ones, so never None."""
    assert value is not None, "a figure that is not exact was taken for one that is"
    return value
