"""`heliograph bandwidth recost` and `heliograph bandwidth language`: what a recorded trace tells, without the world."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.bandwidth.language import read_language
from analysis.bandwidth.language.plot import draw_language
from analysis.bandwidth.recost import LAYERS, Recost, recost
from analysis.bandwidth.report.formatting import number
from analysis.bandwidth.report.tables import categoricals
from analysis.bandwidth.report.terminal import print_language, print_line, print_table
from analysis.tables.columns import Column, Table
from analysis.tables.csv_files import write_csv, write_tables
from coordinator.recording.reader import read_trace
from heliograph.bundle import load_team
from heliograph.documents import DocumentFormat, write_json
from heliograph.errors import MissingExtra
from heliograph.optional import optional
from heliograph.run_status import bundle_folder

RECOST = DocumentFormat(name="heliograph-recost", version=1, what="the costs")
LANGUAGE = DocumentFormat(name="heliograph-language", version=1, what="the language analysis")


def run_recost(namespace: argparse.Namespace) -> int:
    """Print what each codec costs at each layer; `--json` and `--out` for all of it, message by message."""
    found = recost(read_trace(namespace.trace), namespace.codec)
    document = RECOST.document({"trace": str(namespace.trace), "codecs": [each.as_dict() for each in found]})
    # What is shown is not lost if a file cannot be written.
    if namespace.json != Path("-"):
        _print(found)
    write_json(document, namespace.json)
    if namespace.out is not None:
        write_json(document, namespace.out / "recost.json")
        rows = [row for each in found for row in each.rows()]
        write_csv(namespace.out / "recost.csv", [list(rows[0]) if rows else [], *(list(row.values()) for row in rows)])
    return 0


def run_language(namespace: argparse.Namespace) -> int:
    """Print what the agents tell each other; `--out` for the plots and a table of every categorical."""
    trace = read_trace(namespace.trace)
    bundles = None if namespace.bundles is None else load_team(bundle_folder(namespace.bundles))
    found = read_language(trace, bundles)
    document = found.document()
    written = LANGUAGE.document({"trace": str(namespace.trace), **asdict(document)})
    if namespace.json != Path("-"):
        print_language(document)
        if bundles is None:
            print_line("- Which categoricals change actions was not measured: that needs --bundles.")
    write_json(written, namespace.json)
    if namespace.out is not None:
        write_json(written, namespace.out / "language.json")
        write_tables([("language.csv", categoricals(document.categoricals))], namespace.out)
        missing = None
        with optional("no language.png"):
            try:
                draw_language(found, namespace.out / "language.png")
            except MissingExtra as error:
                missing = error
        if missing is not None:
            raise missing
    return 0


@dataclass(frozen=True, kw_only=True)
class _LayerCost:
    codec: str
    layer: str
    bits: float | None


def _print(found: Iterable[Recost]) -> None:
    rows = []
    for each in found:
        message_bits = None if each.information is None else each.information.message_bits
        rows.append(_LayerCost(codec=each.spec, layer="information", bits=message_bits))
        rows += [_LayerCost(codec=each.spec, layer=layer, bits=each.bits_per_message(layer)) for layer in LAYERS]
    columns: list[Column[_LayerCost]] = [
        Column(field="codec", heading="codec"),
        Column(field="layer", heading="layer"),
        Column(heading="", value=lambda row: "computed"),
        Column(heading="bits per message", value=lambda row: row.bits, words=number, is_number=True),
        Column(
            heading="bytes per message",
            value=lambda row: None if row.bits is None else row.bits / 8,
            words=number,
            is_number=True,
        ),
    ]
    print_table(Table(title="cost of other codecs for the messages of the recording", columns=columns, rows=rows))
