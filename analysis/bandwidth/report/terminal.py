"""The report in the terminal."""

from __future__ import annotations

from typing import Any

from analysis.bandwidth.information import EntropyDocument
from analysis.bandwidth.language.document import LanguageDocument
from analysis.bandwidth.report import tables
from analysis.bandwidth.report.document import BandwidthReport, SweepDocument
from analysis.bandwidth.report.formatting import SCORES, interval, number
from analysis.bandwidth.report.text import beyond_whole, worth
from analysis.tables.columns import Column, Table
from analysis.tables.terminal import terminal_table
from heliograph.display import console


def print_report(report: BandwidthReport) -> None:
    """Tables to stdout: bytes by layer, links, entropy, codecs, designs, the sweep; then remarks."""
    found = report.summary
    score = interval(found.score.mean, found.score.low, found.score.high)
    known = "best found without messages" if found.blind_bound_measured else "without messages at most"
    bound = "" if found.blind_bound is None else f"; {known} {number(found.blind_bound)}"
    print_line(f"{found.title}, {found.episodes} episodes: {SCORES[found.measure]} {score}{bound}")
    print_table(tables.layers(report))
    if report.links:
        print_table(tables.links(report))
        for sentence in report.conservation:
            print_line(f"- {sentence}")
    if report.information is not None:
        print_table(_entropy(report.information))
        print_line(f"- {report.information.estimator}")
    if report.codecs:
        print_table(tables.codecs(report))
    if report.language is not None:
        print_language(report.language)
    if report.alternatives:
        print_table(tables.alternatives(report))
    if report.sweep is not None:
        print_sweep(report.sweep)
        if told := worth(report):
            print_line(told)
    for remark in report.remarks:
        print_line(f"- {remark}")


def print_language(found: LanguageDocument) -> None:
    """What was read out of the messages, in sentences."""
    for sentence in found.sentences:
        print_line(f"- {sentence}")


def print_sweep(sweep: SweepDocument) -> None:
    """The points of all curves, and the cells that failed."""
    print_table(tables.points(sweep))
    for curve in sweep.curves:
        if curve.area is not None:
            area = interval(curve.area.value, curve.area.low, curve.area.high)
            print_line(f"- area under the best score at no more than beta, {curve.label}: {area}")
    for told in beyond_whole(sweep):
        print_line(f"- {told}")
    if sweep.cells.finished < sweep.cells.all:
        print_line(f"{sweep.cells.finished} of {sweep.cells.all} cells are finished; --resume runs the others.")
    for each in sweep.failed:
        print_line(f"failed: {each.cell}: {each.reason}")


def print_table(table: Table[Any]) -> None:
    """A table to stdout."""
    console().print(terminal_table(table))


def print_line(text: str) -> None:
    console().print(text, highlight=False, markup=False)


def _entropy(found: EntropyDocument) -> Table[tuple[str, float | None]]:
    return Table(
        title="message entropy",
        columns=(
            Column(heading="", value=lambda row: row[0]),
            Column(heading="bits", value=lambda row: row[1], words=number, is_number=True),
        ),
        rows=(
            ("ceiling", found.ceiling_bits),
            ("entropy of a message", found.message_bits),
            ("given the sender's previous message", found.message_bits_given_previous),
        ),
    )
