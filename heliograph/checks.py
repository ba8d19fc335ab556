"""Checks of values that came from a file, one kind of value each.  For dataclasses that check themselves.

All raise ValueError, with the field named and what was expected of it.
"""

from __future__ import annotations

import math
import re
from typing import Any


def check_integer(name: str, value: Any, low: int, high: int) -> None:
    """A whole number between two others, both included; true and false are none."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}, expected an integer in {low}..{high}")


def check_text(name: str, value: Any, pattern: str) -> None:
    """A text that a pattern matches from end to end."""
    if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
        raise ValueError(f"{name} is {value!r}, expected text of the form {pattern}")


def check_finite(name: str, values: Any) -> None:
    """A tuple of numbers, each of which a float can hold."""
    if not isinstance(values, tuple) or not all(_is_finite(value) for value in values):
        raise ValueError(f"{name} is {values!r}, expected finite numbers")


def _is_finite(value: Any) -> bool:
    # Compared first: a whole number can be too large for any float.
    return type(value) in (int, float) and abs(value) < 2**1023 and math.isfinite(value)
