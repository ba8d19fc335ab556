"""report.html: everything that was found, on one page that loads nothing: its style and its pictures are inside."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.audit.condition import LINK, WORLD
from analysis.bandwidth.extra import bandwidth_extra
from analysis.bandwidth.report import tables, text
from analysis.bandwidth.report.document import BandwidthReport
from analysis.bandwidth.report.formatting import SCORES, number, plain

TEMPLATE = "page.html.j2"
SECTIONS = {
    "summary": "Summary",
    "layers": "Bytes by layer",
    "links": "Links",
    "curves": "Value of communication",
    "entropy": "Message entropy",
    "alternatives": "Cost of alternative designs",
    "language": "Language",
    "influence": "Influence",
    "settings": "Settings and versions",
}
"""Headings by anchor, in the order of the page."""
VERDICTS = {"holds": "measured", "refuted": "bad", "not checked": "not"}
"""Of an audit, and the style of their marks."""
MATRICES = (("world_graph", WORLD, "over all links of the world"), ("one_link", LINK, "over one link alone"))
"""Of an audit: the matrix, the check that found it, and what it shows."""
MOST_SHADES = 4


def page(report: BandwidthReport, pictures: Mapping[str, Path]) -> str:
    """The whole page; `pictures` are PNG files by the names of their plots.  Raises MissingExtra without Jinja."""
    with bandwidth_extra("making the page"):
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    # Autoescape: names of runs, reasons of failures and words of an audit are anybody's text.
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["number"] = number
    return templates.get_template(TEMPLATE).render(
        report=report,
        sections=SECTIONS,
        text=text,
        tables=tables,
        score=SCORES[report.summary.measure],
        pictures={name: _data_uri(path) for name, path in pictures.items()},
        settings=list(_flat(report.settings)),
        verdicts=VERDICTS,
        matrices=list(_matrices(report)),
    )


def _data_uri(path: Path) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(value)


def _matrices(report: BandwidthReport) -> Iterator[tuple[str, list[list[tuple[str, str]]]]]:
    """Title and cells, text and style each; rows are agents that influence, columns those that are influenced."""
    if report.influence is None:
        return
    for name, check, title in MATRICES:
        tried = {each.path for each in report.influence.influences if each.check == check}
        delays: tuple[tuple[int | None, ...], ...] = getattr(report.influence.influence, name)
        yield (
            title,
            [
                [_delay(delay, tried=(j, i) in tried, own=j == i) for i, delay in enumerate(row)]
                for j, row in enumerate(delays)
            ],
        )


def _delay(delay: int | None, *, tried: bool, own: bool) -> tuple[str, str]:
    """The sooner, the darker."""
    if delay is not None:
        return str(delay), f"after{min(delay, MOST_SHADES)}"
    return "never" if tried else "" if own else "not tried", "never"
