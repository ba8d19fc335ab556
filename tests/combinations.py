"""Combinations of parts that have tests of their own, of methods and what each must do: a landing tries a few of them,
and the night all (`make nightly`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def a_few(names: Iterable[Any], *tried: Any) -> list[Any]:
    """Parameters of a test; those that no landing waits for are all but these."""
    names = list(names)
    assert set(tried) <= set(names), f"{sorted(set(tried) - set(names))} is none of {names}"
    return [name if name in tried else pytest.param(name, marks=pytest.mark.nightly) for name in names]
