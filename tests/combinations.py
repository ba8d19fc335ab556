"""Combinations of parts that have tests of their own, of methods and what each must do: a landing tries a few of them,
and the night all (`make nightly`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def a_few(names: Iterable[Any], *tried: Any) -> list[Any]:
    """Parameters of a test, tuples where it takes several; those that no landing waits for are all but these."""
    names = list(names)
    assert set(tried) <= set(names), f"{sorted(set(tried) - set(names))} is none of {names}"
    night = pytest.mark.nightly
    several = [name if isinstance(name, tuple) else (name,) for name in names]
    return [
        name if name in tried else pytest.param(*each, marks=night) for name, each in zip(names, several, strict=True)
    ]
