"""A table that is described once and written three times: in the terminal, on the page, and as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class Column(Generic[Row]):
    """One column; its values are written by `words` for people, and as they are into CSV."""

    field: str = ""
    """Its name in CSV; empty: for people alone."""
    heading: str | None = None
    """For people; None: in CSV alone."""
    value: Callable[[Row], Any] | None = None
    """From a row; without it the attribute that `field` names."""
    words: Callable[[Any], str] = str
    is_number: bool = False
    """Set flush right."""
    style: Callable[[Any], str] | None = None
    """Class of its values on the page."""
    in_terminal: bool = True
    wraps: bool | None = None
    """Whether the terminal may wrap it; None: texts are wrapped, numbers are not."""

    def of(self, row: Row) -> Any:
        """Its value in a row."""
        return getattr(row, self.field) if self.value is None else self.value(row)

    def written(self, row: Row) -> str:
        """The same, for people."""
        return self.words(self.of(row))


@dataclass(frozen=True, kw_only=True)
class Table(Generic[Row]):
    """Rows and their columns."""

    title: str = ""
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]

    @property
    def shown(self) -> list[Column[Row]]:
        """The columns for people; the terminal leaves out those that are not `in_terminal`."""
        return [column for column in self.columns if column.heading is not None]

    @property
    def fields(self) -> list[Column[Row]]:
        """The columns of the CSV file."""
        return [column for column in self.columns if column.field]

    def csv_rows(self) -> Iterator[list[Any]]:
        """The headings, then every row."""
        yield [column.field for column in self.fields]
        for row in self.rows:
            yield [column.of(row) for column in self.fields]
