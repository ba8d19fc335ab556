"""The tables of the report, each with its columns for people and for CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from analysis.bandwidth.information import EntropyDocument
from analysis.bandwidth.language.document import Categorical
from analysis.bandwidth.report.document import (
    BandwidthReport,
    CodecCost,
    Curve,
    CurvePoint,
    Design,
    FinishedCell,
    Layer,
    LinkCosts,
    SweepDocument,
)
from analysis.bandwidth.report.formatting import COUNTS, HOW, SCORES, count, interval, number
from analysis.tables.columns import Column, Table


def layers(report: BandwidthReport) -> Table[Layer]:
    return Table(
        title="bytes by layer",
        columns=(
            Column(field="name", heading="layer"),
            Column(field="how", heading="", style=lambda how: f"mark {HOW[how]}"),
            Column(field="bytes_per_message", heading="bytes per message", words=number, is_number=True),
            Column(field="bytes_per_agent_step", heading="bytes per agent and step", words=number, is_number=True),
            Column(field="note", heading="", style=_soft),
        ),
        rows=report.layers,
    )


def links(report: BandwidthReport) -> Table[LinkCosts]:
    return Table(
        title="links",
        columns=(
            Column(heading="link", value=lambda link: f"{link.sender} → {link.receiver}"),
            Column(field="sender"),
            Column(field="receiver"),
            *(Column(field=name, heading=words, words=count, is_number=True) for name, words in COUNTS.items()),
            Column(field="ip_bytes"),
        ),
        rows=report.links,
    )


def codecs(report: BandwidthReport) -> Table[CodecCost]:
    return Table(
        title="cost of other codecs for the same messages",
        columns=(
            Column(field="codec", heading="codec"),
            Column(
                field="lossless",
                heading="",
                words=lambda lossless: "lossless" if lossless else "lossy",
                style=_soft,
            ),
            Column(field="bits_per_message", heading="bits per message", words=number, is_number=True),
            Column(
                field="protobuf_bytes_per_message",
                heading="bytes of protobuf per message",
                words=number,
                is_number=True,
            ),
        ),
        rows=report.codecs,
    )


def alternatives(report: BandwidthReport) -> Table[Design]:
    return Table(
        title="cost of alternative designs on the same episodes (computed)",
        columns=(
            Column(field="name", heading="design"),
            Column(field="bytes_per_agent_step", heading="bytes per agent and step", words=number, is_number=True),
            Column(field="ratio", heading="of bit-packed latents", words=_times, is_number=True),
            Column(field="note", heading="", style=_soft, in_terminal=False),
        ),
        rows=report.alternatives,
    )


@dataclass(frozen=True, kw_only=True)
class _CurveRow:
    curve: Curve
    point: CurvePoint


def points(sweep: SweepDocument) -> Table[_CurveRow]:
    """Every point of every curve."""
    score = SCORES.get(sweep.measure or "", "score")
    return Table(
        title=f"sweep: {sweep.episodes} episodes each, {sweep.over}",
        columns=(
            Column(heading="curve", value=lambda row: row.curve.label),
            Column(field="axis", value=lambda row: row.curve.axis),
            Column(field="codec", value=lambda row: row.curve.codec),
            Column(field="late", value=lambda row: row.curve.late),
            Column(field="value", heading="value", value=lambda row: row.point.value, is_number=True),
            Column(field="score", value=lambda row: row.point.score),
            Column(field="low", value=lambda row: row.point.low),
            Column(field="high", value=lambda row: row.point.high),
            Column(
                field="sent_bits",
                heading="sent bits",
                value=lambda row: row.point.sent_bits,
                words=number,
                is_number=True,
            ),
            Column(
                field="read_bits",
                heading="read bits",
                value=lambda row: row.point.read_bits,
                words=number,
                is_number=True,
            ),
            Column(field="beta", heading="beta", value=lambda row: row.point.beta, words=number, is_number=True),
            Column(heading=f"{score} [95 %]", value=lambda row: row.point, words=_point_score, is_number=True),
            Column(field="masked", value=lambda row: row.point.masked),
            Column(field="runs", heading="runs", value=lambda row: len(row.point.runs), is_number=True),
        ),
        rows=[_CurveRow(curve=curve, point=point) for curve in sweep.curves for point in curve.points],
    )


def cells(sweep: SweepDocument) -> Table[FinishedCell]:
    columns: list[Column[FinishedCell]] = [Column(field=each.name) for each in fields(FinishedCell)]
    return Table(title="cells", columns=columns, rows=sweep.played)


def categoricals(rows: Iterable[Categorical]) -> Table[Categorical]:
    """What each categorical tells."""
    columns: list[Column[Categorical]] = [
        Column(field=each.name, heading=each.name.replace("_", " "), words=_text_or_number, is_number=True)
        for each in fields(Categorical)
    ]
    return Table(title="categoricals", columns=columns, rows=list(rows))


@dataclass(frozen=True, kw_only=True)
class _Entropy:
    step: int = 0
    categorical: int
    bits: float | None
    bits_given_previous: float | None = None


def entropy(found: EntropyDocument) -> Table[_Entropy]:
    given = found.categorical_bits_given_previous or (None,) * found.categoricals
    pairs = zip(found.categorical_bits, given, strict=True)
    rows = [_Entropy(categorical=place, bits=bits, bits_given_previous=new) for place, (bits, new) in enumerate(pairs)]
    return Table(
        title="entropy of each categorical",
        columns=(Column(field="categorical"), Column(field="bits"), Column(field="bits_given_previous")),
        rows=rows,
    )


def entropy_by_step(found: EntropyDocument) -> Table[_Entropy]:
    rows = [
        _Entropy(step=step, categorical=place, bits=bits)
        for step, row in enumerate(found.categorical_bits_by_step)
        for place, bits in enumerate(row)
    ]
    return Table(
        title="entropy of each categorical over an episode",
        columns=(Column(field="step"), Column(field="categorical"), Column(field="bits")),
        rows=rows,
    )


def files(report: BandwidthReport) -> Iterator[tuple[str, Table[Any]]]:
    """The CSV files of a report by name: one for each of its parts, and for each plot."""
    yield "layers.csv", layers(report)
    yield "links.csv", links(report)
    yield "codecs.csv", codecs(report)
    yield "alternatives.csv", alternatives(report)
    if report.information is not None:
        yield "entropy.csv", entropy(report.information)
        yield "entropy_by_step.csv", entropy_by_step(report.information)
    if report.language is not None:
        yield "language.csv", categoricals(report.language.categoricals)
    if report.sweep is not None:
        yield "curves.csv", points(report.sweep)
        yield "cells.csv", cells(report.sweep)


def _soft(value: object) -> str:
    return "soft"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:,.3g} times"


def _point_score(point: CurvePoint) -> str:
    return interval(point.score, point.low, point.high)


def _text_or_number(value: str | float | None) -> str:
    return value if isinstance(value, str) else number(value)
