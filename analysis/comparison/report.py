"""A comparison in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.comparison import tables
from analysis.comparison.results import Curves, Section
from analysis.tables.terminal import terminal_table
from heliograph import display

PLAIN_WIDTH = 160
"""Columns of text that goes into a file or a pipe, so that wide tables are not folded."""


def print_report(found: Sequence[Section], curves: Sequence[Curves]) -> None:
    """Tables to stdout: scores, improvement and profile of each section, curves of each task."""
    from rich.text import Text

    console = display.console(width=PLAIN_WIDTH)
    for section in found:
        console.rule(Text(section.name, style="bold"), align="left")
        console.print(f"{section.measure}: {section.scored}", highlight=False, markup=False)
        console.print(terminal_table(tables.scores(section)))
        if section.improvement:
            console.print(terminal_table(tables.improvement(section)))
        console.print(terminal_table(tables.profile(section)))
        for curve in curves:
            if curve.task == section.name and len(curve.steps) > 1:
                console.print(terminal_table(tables.curve(curve)))
        for remark in section.remarks:
            console.print(f"- {remark}", highlight=False, markup=False)
