"""The numbers of the report as CSV, a file per table or plot, made from the report's document."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from heliograph.errors import SettingsError

Document = Mapping[str, Any]
LAYERS = ("name", "how", "bytes_per_message", "bytes_per_agent_step", "note")
LINKS = (
    *("sender", "receiver", "sent", "delivered", "read", "late", "lost", "rejected", "missing"),
    *("sent_bytes", "http2_bytes", "ip_bytes"),
)
CODECS = ("codec", "lossless", "bits_per_message", "protobuf_bytes_per_message")
ALTERNATIVES = ("name", "bytes_per_agent_step", "ratio", "note")
POINTS = ("value", "score", "low", "high", "sent_bits", "read_bits")


def write_tables(document: Document, folder: Path) -> list[Path]:
    """Write a file for each part that the document has; their paths.  Raises SettingsError if that cannot be done."""
    contents: dict[str, tuple[Sequence[str], Iterable[Sequence[Any]]]] = {
        "layers.csv": (LAYERS, _fields(document["layers"], LAYERS)),
        "links.csv": (LINKS, _fields(document["links"], LINKS)),
        "codecs.csv": (CODECS, _fields(document["codecs"], CODECS)),
        "alternatives.csv": (ALTERNATIVES, _fields(document["alternatives"], ALTERNATIVES)),
    }
    if document["information"] is not None:
        contents["entropy.csv"] = (("categorical", "bits", "bits_given_previous"), _entropy(document["information"]))
        by_step = document["information"]["categorical_bits_by_step"]
        contents["entropy_by_step.csv"] = (("step", "categorical", "bits"), _by_step(by_step))
    if document["language"] is not None:
        said = document["language"]["categoricals"]
        contents["language.csv"] = (_columns(said), _rows(said))
    if document["sweep"] is not None:
        curves = document["sweep"]["curves"]
        contents["curves.csv"] = (("axis", "codec", "late", *POINTS, "runs"), _curves(curves))
        contents["cells.csv"] = (_columns(document["sweep"]["played"]), _rows(document["sweep"]["played"]))
    for name, (columns, rows) in contents.items():
        _write(folder / name, columns, rows)
    return [folder / name for name in contents]


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write dictionaries with the same keys.  Raises SettingsError if the file cannot be written."""
    _write(path, _columns(rows), _rows(rows))


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}", remedy="Name another folder: --out") from error


def _fields(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Iterator[list[Any]]:
    for row in rows:
        yield [row[name] for name in names]


def _entropy(found: Mapping[str, Any]) -> Iterator[list[Any]]:
    given = found["categorical_bits_given_previous"] or [None] * found["categoricals"]
    for place, (bits, new) in enumerate(zip(found["categorical_bits"], given, strict=True)):
        yield [place, bits, new]


def _by_step(steps: Iterable[Iterable[float | None]]) -> Iterator[list[Any]]:
    for step, row in enumerate(steps):
        for place, bits in enumerate(row):
            yield [step, place, bits]


def _curves(curves: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    for curve in curves:
        for point in curve["points"]:
            name = [curve["axis"], curve["codec"], curve["late"]]
            yield [*name, *(point[field] for field in POINTS), len(point["runs"])]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(rows[0]) if rows else []


def _rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    for row in rows:
        yield list(row.values())
