"""How results are shown to people: tables, numbers with intervals and colours, on a terminal or in a file of text.

Any package may import this; rich is loaded where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLAIN_WIDTH = 120
"""Columns of text that goes into a file or a pipe."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which colour-blind people tell apart: blue, vermilion, green, purple, orange, sky blue, black."""

BLUE, VERMILION = PALETTE[:2]


def colour(place: int) -> str:
    """Of the curve, bar or agent at that place; places beyond the palette start again."""
    return PALETTE[place % len(PALETTE)]


def console(*, stderr: bool = False, width: int = PLAIN_WIDTH) -> Console:
    """As wide as the terminal, or `width` columns of plain text where there is none."""
    from rich.console import Console

    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=width)


def table(title: str, *columns: str, left: Container[str] = ()) -> Table:
    """An empty table: columns without a heading and those of `left` flush left, the others, of numbers, flush right.

    Title and headings are taken as they are written, for brackets would be markup.
    """
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title) if title else None, title_justify="left")
    for heading in columns:
        made.add_column(Text(heading), justify="left" if not heading or heading in left else "right", overflow="fold")
    return made


def score(value: float) -> str:
    """With three digits after the point, as every score of a report."""
    return f"{value:.3f}"


def interval(mean: float, low: float | None, high: float | None, write: Callable[[float], str] = score) -> str:
    """`mean [low, high]`; the mean alone where there is no interval, as of a single run."""
    if low is None or high is None:
        return write(mean)
    return f"{write(mean)} [{write(low)}, {write(high)}]"
