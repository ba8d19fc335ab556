"""`heliograph bandwidth recost` and `heliograph bandwidth language`: what a recorded trace tells, without the world."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from analysis.bandwidth.language import read_language
from analysis.bandwidth.language.plot import draw_language
from analysis.bandwidth.recost import Recost, recost
from analysis.bandwidth.tables import write_rows
from analysis.bandwidth.terminal import print_language, print_line, print_table
from analysis.bandwidth.wording import number
from coordinator.commands.exit_status import write_json
from coordinator.recording.reader import read_trace
from coordinator.scoring.suite import bundle_folder
from heliograph.bundle import load_team

VERSION = 1


def run_recost(namespace: argparse.Namespace) -> int:
    """Print what each codec costs at each layer; `--json` and `--out` for all of it, message by message."""
    found = recost(read_trace(namespace.trace), namespace.codec)
    document = {
        "format": "heliograph-recost",
        "version": VERSION,
        "trace": str(namespace.trace),
        "codecs": [each.as_dict() for each in found],
    }
    # What is shown is not lost if a file cannot be written.
    if namespace.json != Path("-"):
        _print(found)
    write_json(document, namespace.json)
    if namespace.out is not None:
        write_json(document, namespace.out / "recost.json")
        write_rows(namespace.out / "recost.csv", [row for each in found for row in each.rows()])
    return 0


def run_language(namespace: argparse.Namespace) -> int:
    """Print what the agents tell each other; `--out` for the plots and a table of every categorical."""
    trace = read_trace(namespace.trace)
    bundles = None if namespace.bundles is None else load_team(bundle_folder(namespace.bundles))
    found = read_language(trace, bundles)
    document = {"format": "heliograph-language", "version": VERSION, "trace": str(namespace.trace), **found.as_dict()}
    if namespace.json != Path("-"):
        print_language(document)
        if bundles is None:
            print_line("- Which categoricals change actions was not asked: that needs --bundles.")
    write_json(document, namespace.json)
    if namespace.out is not None:
        write_json(document, namespace.out / "language.json")
        write_rows(namespace.out / "language.csv", list(found.rows()))
        draw_language(found, namespace.out / "language.png")
    return 0


def _print(found: Iterable[Recost]) -> None:
    rows = []
    for each in found:
        for layer in each.as_dict()["layers"]:
            bits = layer["bits_per_message"]
            size = None if bits is None else bits / 8
            rows.append((each.spec, layer["layer"], layer["how"], number(bits), number(size)))
    print_table(
        "the messages of the trace with other codecs",
        ("codec", "layer", "", "bits per message", "bytes per message"),
        rows,
        right=(3, 4),
    )
