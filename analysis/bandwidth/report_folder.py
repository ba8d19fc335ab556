"""The report in its folder: report.json, the tables, the plots, and the page that shows them all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.bandwidth.cell import write_whole
from analysis.bandwidth.drawing import draw
from analysis.bandwidth.page import page
from analysis.bandwidth.tables import write_tables
from heliograph.errors import MissingExtra, SettingsError
from heliograph.optional import optional
from heliograph.reading import check_format, read_json

FORMAT, VERSION = "heliograph-bandwidth-report", 1
DOCUMENT, PAGE, LANGUAGE_PICTURE = "report.json", "report.html", "language.png"


def write_report(document: Mapping[str, Any], folder: Path) -> MissingExtra | None:
    """Write everything; without matplotlib everything but the plots, and what is missing is returned.

    What was measured comes first; plots and page that cannot be made are told as warnings.  Raises SettingsError if the
    folder cannot be written.
    """
    write_document(document, folder)
    write_tables(document, folder)
    missing: MissingExtra | None = None
    pictures: dict[str, Path] = {}
    with optional("no plots"):
        try:
            pictures = draw(document, folder)
        except MissingExtra as error:
            missing = error
    if document["language"] is not None and (folder / LANGUAGE_PICTURE).is_file():
        pictures["language"] = folder / LANGUAGE_PICTURE  # drawn from the trace when it was read
    with optional(f"no {PAGE}"):
        write_whole(folder / PAGE, page(document, pictures))
    return missing


def write_document(document: Mapping[str, Any], folder: Path) -> None:
    """Write report.json alone.  Raises SettingsError if the folder cannot be written."""
    whole = {"format": FORMAT, "version": VERSION, **document}
    write_whole(folder / DOCUMENT, json.dumps(whole, indent=2, allow_nan=False) + "\n")


def read_document(folder: Path) -> dict[str, Any] | None:
    """That of a report that was written before; None if there is none.  Raises SettingsError for a foreign one."""
    path = folder / DOCUMENT
    try:
        document: dict[str, Any] = read_json(path)
        check_format(document, format=FORMAT, version=VERSION)
        del document["format"], document["version"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise SettingsError(f"cannot read the report {path}: {error}", remedy="Name another folder: --out") from None
    return document
