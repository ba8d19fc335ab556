"""Tables in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.tables.columns import Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable


def terminal_table(table: Table[Any]) -> RichTable:
    """A table for a rich console: numbers flush right."""
    from rich.table import Table as RichTable
    from rich.text import Text

    # As texts, because labels and intervals have brackets, which rich would take for markup.
    shown = RichTable(title=Text(table.title) if table.title else None, title_justify="left")
    columns = [column for column in table.shown if column.in_terminal]
    for column in columns:
        shown.add_column(
            Text(column.heading or ""),
            justify="right" if column.is_number else "left",
            no_wrap=column.is_number if column.wraps is None else not column.wraps,
            overflow="fold",
        )
    for row in table.rows:
        shown.add_row(*(Text(column.written(row)) for column in columns))
    return shown
