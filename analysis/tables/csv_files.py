"""Tables as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from analysis.tables.columns import Table
from heliograph.errors import OutputFailed


def write_tables(tables: Iterable[tuple[str, Table[Any]]], folder: Path) -> list[Path]:
    """Write tables, each to a file of its name; their paths.

    Raises OutputFailed if the folder, which every command calls `--out`, cannot be written.
    """
    written = []
    for name, table in tables:
        written.append(folder / name)
        write_csv(written[-1], table.csv_rows())
    return written


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, of which the first holds the headings.  Raises OutputFailed if the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}", remedy="Name another folder: --out") from error
