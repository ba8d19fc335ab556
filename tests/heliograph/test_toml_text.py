"""What is written as TOML is read as what it was."""

from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.toml_text import toml_document

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
VALUES = st.recursive(
    TEXTS | NUMBERS | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_it_comes_back(values: dict[str, object]) -> None:
    assert tomllib.loads(toml_document(values)) == values


def test_what_is_no_number_comes_back_too() -> None:
    assert math.isnan(tomllib.loads(toml_document({"a": math.nan}))["a"])


def test_what_toml_has_not_is_said() -> None:
    with pytest.raises(TypeError, match="TOML has no NoneType such as None"):
        toml_document({"a": None})
