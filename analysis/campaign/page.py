"""The report of a campaign as Markdown, and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from analysis.campaign.document import CampaignReport, WorldReport
from analysis.campaign.estimates import duration
from analysis.campaign.tables import heading, tables
from analysis.tables.columns import Table
from analysis.tables.terminal import terminal_table
from heliograph import display
from heliograph.figures import SHARES, UNKNOWN

PLAIN_WIDTH = 180
SHOWN_MISSING = 30


def markdown(report: CampaignReport, *, file: str, plots: Sequence[str]) -> str:
    """The page; `plots` are the pictures beside it."""
    parts = [f"# Campaign {report.campaign}", report.description, f"`heliograph campaign {file}`; {_sum(report)}"]
    for world in report.worlds:
        parts.append(f"## {heading(world)}")
        parts += [line for line in _notes(report, world)]
        parts += [f"{table.title}:\n\n{_markdown_table(table)}" for table in tables(report, world)]
    parts += [f"![{name.removesuffix('.png')}]({name})" for name in plots]
    if remarks := [*report.remarks, *_missing(report)]:
        parts.append("\n".join(f"- {line}" for line in remarks))
    return "\n\n".join(part for part in parts if part) + "\n"


def print_report(report: CampaignReport) -> None:
    """To stdout."""
    from rich.text import Text

    console = display.console(width=PLAIN_WIDTH)
    for world in report.worlds:
        console.rule(Text(heading(world), style="bold"), align="left")
        for line in _notes(report, world):
            console.print(line, highlight=False, markup=False)
        for table in tables(report, world):
            console.print(terminal_table(table))
    for line in [*report.remarks, *_missing(report)]:
        console.print(f"- {line}", highlight=False, markup=False)
    console.print(_sum(report), highlight=False, markup=False)


def _sum(report: CampaignReport) -> str:
    spent = UNKNOWN if report.cpu_seconds is None else duration(report.cpu_seconds)
    done = report.runs - len(report.missing)
    return f"{done} of {report.runs} runs done; processor time of training: {spent}."


def _notes(report: CampaignReport, world: WorldReport) -> Iterator[str]:
    if not any(found.found for found in world.labels):
        yield "No run has ended."
    # A bound of 1 tells nothing of a share.
    elif world.blind_bound is not None and (world.measure not in SHARES or world.blind_bound < 1):
        if world.blind_bound_measured:
            yield f"The best rule found for a team that receives no messages reaches {world.blind_bound:.3f}."
        else:
            yield f"A team that receives no messages reaches {world.blind_bound:.3f} at best."


def _missing(report: CampaignReport) -> Iterator[str]:
    for each in report.missing[:SHOWN_MISSING]:
        yield f"{each.run.name}: {each.state}{f': {each.detail}' if each.detail else ''}"
    if len(report.missing) > SHOWN_MISSING:
        yield f"and {len(report.missing) - SHOWN_MISSING} more runs without a score"


def _markdown_table(table: Table[Any]) -> str:
    columns = table.shown
    lines = ["| " + " | ".join(column.heading or "" for column in columns) + " |"]
    lines.append("|" + "|".join("---:" if column.is_number else "---" for column in columns) + "|")
    lines += ["| " + " | ".join(_cell(column.written(row)) for column in columns) + " |" for row in table.rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
