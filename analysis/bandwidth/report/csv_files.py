"""Tables as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from analysis.bandwidth.report.columns import Table
from analysis.bandwidth.report.document import BandwidthReport
from analysis.bandwidth.report.tables import files
from heliograph.errors import SettingsError


def write_tables(report: BandwidthReport, folder: Path) -> list[Path]:
    """Write a file for each part that the report has; their paths.  Raises SettingsError if that cannot be done."""
    written = []
    for name, table in files(report):
        written.append(folder / name)
        write_table(written[-1], table)
    return written


def write_table(path: Path, table: Table[Any]) -> None:
    """Write one table.  Raises SettingsError if the file cannot be written."""
    write_csv(path, table.csv_rows())


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, of which the first holds the headings.  Raises SettingsError if the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}", remedy="Name another folder: --out") from error
