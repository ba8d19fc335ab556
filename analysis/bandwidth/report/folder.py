"""The report in its folder: report.json, the tables, the plots, and the page that shows them all."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from analysis.bandwidth.report.document import BandwidthReport
from analysis.bandwidth.report.drawing import draw
from analysis.bandwidth.report.page import page
from analysis.bandwidth.report.tables import files
from analysis.tables.csv_files import write_tables
from heliograph.documents import DocumentFormat
from heliograph.errors import MissingExtra, OutputFailed
from heliograph.optional import optional
from heliograph.writing import write_text

REPORT = DocumentFormat(
    name="heliograph-bandwidth-report", version=1, what="the report", remedy="Name another folder: --out"
)
DOCUMENT, PAGE, LANGUAGE_PICTURE = "report.json", "report.html", "language.png"


def write_report(report: BandwidthReport, folder: Path) -> MissingExtra | None:
    """Write everything; without matplotlib or Jinja everything but plots or page, and what is missing is returned.

    What was measured comes first; plots and page that cannot be made are told as warnings.  Raises SettingsError if the
    folder cannot be written.
    """
    write_document(report, folder)
    write_tables(files(report), folder)
    missing: MissingExtra | None = None
    pictures: dict[str, Path] = {}
    with optional("no plots"):
        try:
            pictures = draw(report, folder)
        except MissingExtra as error:
            missing = error
    if report.language is not None and (folder / LANGUAGE_PICTURE).is_file():
        pictures["language"] = folder / LANGUAGE_PICTURE  # drawn from the trace when it was read
    with optional(f"no {PAGE}"):
        try:
            write_text(folder / PAGE, page(report, pictures))
        except MissingExtra as error:
            missing = error
        except OSError as error:
            raise OutputFailed(
                f"cannot write {folder / PAGE}: {error.strerror}", remedy="Name another folder: --out"
            ) from error
    return missing


def write_document(report: BandwidthReport, folder: Path) -> None:
    """Write report.json alone.  Raises SettingsError if the folder cannot be written."""
    REPORT.write(folder / DOCUMENT, report.as_dict())


def read_document(folder: Path) -> BandwidthReport | None:
    """That of a report that was written before; None if there is none.  Raises SettingsError for a foreign one."""
    return REPORT.find(folder / DOCUMENT, TypeAdapter(BandwidthReport).validate_python)
