"""Numbers with intervals, colours, and consoles that are plain where nobody sees them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from heliograph import display


def test_an_interval_follows_its_mean() -> None:
    assert display.interval(0.5, 0.25, 0.75) == "0.500 [0.250, 0.750]"
    assert display.interval(0.5, None, None) == "0.500"
    assert display.interval(1234.5, 1e3, 2e3, "{:,.0f}".format) == "1,234 [1,000, 2,000]"


def test_colours_begin_again_beyond_the_last_one() -> None:
    assert len(set(display.PALETTE)) == len(display.PALETTE)
    assert display.colour(len(display.PALETTE)) == display.colour(0) == display.BLUE


def test_a_console_without_a_terminal_is_plain_and_of_a_fixed_width(capsys: pytest.CaptureFixture[str]) -> None:
    display.console().print("[bold]" + "word " * 40)
    display.console(stderr=True, width=40).print("word " * 20)
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) == 120
    assert max(map(len, err.splitlines())) <= 40
    assert "\x1b" not in out + err


def test_a_table_takes_its_words_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    table = display.table("team [a]", "", "return [95 %]", "state", left=("state",))
    table.add_row("first", "1", "x")
    assert [column.justify for column in table.columns] == ["left", "right", "left"]
    display.console().print(table)
    out = capsys.readouterr().out
    assert out.startswith("team [a]")
    assert "return [95 %]" in out


def test_nothing_of_rich_is_loaded_before_it_is_asked_for() -> None:
    program = "import sys, heliograph.display; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
