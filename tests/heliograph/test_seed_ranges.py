"""Seeds as people write them."""

from __future__ import annotations

import pytest

from heliograph.errors import SettingsError
from heliograph.seed_ranges import parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0-3", (0, 1, 2, 3)), ("7", (7,)), ("5,1,3", (1, 3, 5)), ("0-2,2-4", (0, 1, 2, 3, 4)), (" 1 , 2-2", (1, 2))],
)
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "a",
        "3-1",
        "0-",
        "-4",
        "0-99999",
        "1.5",
        str(2**64),
        "9" * 30,
        "²",
        "0-²",
        "0-" + "9" * 5000,
        "0-999,2000-2001",
    ],
)
def test_what_are_no_seeds_is_said(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_seeds(text)
