"""Scores in the terminal: a row per run, checkpoint and policy, then what the runs come to together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from coordinator.scoring.scores import ALONE, REFERENCE, SEARCHING, TOGETHER, Group, Score
from heliograph.aggregates import Aggregate
from heliograph.display import console, interval
from heliograph.estimates import Estimate

if TYPE_CHECKING:
    from rich.table import Table

Column = Callable[[Score], str]

TEAMS = {
    ALONE: "bundles",
    TOGETHER: "centralised networks",
    SEARCHING: "centralised search",
    REFERENCE: "baseline",
}
"""Who acts, for people."""

NAMED: Mapping[str, Column] = {
    "environment": lambda score: score.task,
    "env steps": lambda score: _steps(score),
    "team": lambda score: TEAMS[score.team],
    "policy": lambda score: score.policy,
    "links": lambda score: score.links,
}
"""Columns that are shown where they tell rows apart; where all rows agree, the title tells it."""


def print_scores(scores: Sequence[Score], found: Sequence[Group], *, episodes: int, seed: int) -> None:
    """Print both tables to stdout; nothing where nothing was finished."""
    from rich.table import Table
    from rich.text import Text

    if not scores:
        return
    output = console()
    kinds = {name: sorted({cell(score) for score in scores} - {""}) for name, cell in NAMED.items()}
    shown = {name: cell for name, cell in NAMED.items() if len(kinds[name]) > 1}
    said = [
        f"after {kind} env steps" if name == "env steps" else kind
        for name, found in kinds.items()
        if name not in shown
        for kind in found
    ]
    title = ", ".join(filter(None, [f"{episodes} episodes, seed {seed}", *said]))
    table = Table(title=Text(title), title_justify="left")
    columns: dict[str, Column] = {"": lambda score: score.run, **shown}
    measures = sorted({score.measure for score in scores})
    if len(measures) > 1:
        columns["outcome"] = lambda score: score.measure
    columns[f"{' or '.join(measures)} [95 %]"] = lambda score: _estimate(score.estimate)
    if measures != ["return"]:
        columns["return [95 %]"] = lambda score: _estimate(score.return_estimate)
    columns["episodes"] = lambda score: f"{len(score.outcome)} in {score.seconds:.0f} s"
    for name in columns:
        left = name in ("", "outcome", *NAMED)
        # Long paths are folded where the terminal is narrow, never the numbers.
        table.add_column(Text(name), justify="left" if left else "right", no_wrap=bool(name), overflow="fold")
    for score in scores:
        table.add_row(*(Text(cell(score)) for cell in columns.values()))
    output.print(table)
    if found:
        output.print(_group_table(found, shown))
    if cut := sum(score.cut_episodes for score in scores):
        output.print(f"{cut} episodes were cut at the most steps; they count with their outcome at that point")


def _group_table(found: Sequence[Group], shown: Mapping[str, Column]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text("over runs, each with its mean"), title_justify="left")
    for name in ("", *shown):
        table.add_column(name, no_wrap=bool(name), overflow="fold")
    for name in ("runs", "IQM [95 %]", "mean [95 %]", "min … max"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for group in found:
        first = group.scores[0]
        cells = [_common([cell(score) for score in group.scores]) for cell in shown.values()]
        ends = f"{min(group.means):.3f} … {max(group.means):.3f}"
        row = [
            " ".join(filter(None, (first.algorithm, group.variant))),
            *cells,
            str(len(group.scores)),
            _aggregate(group.iqm),
            _aggregate(group.mean),
            ends,
        ]
        table.add_row(*map(Text, row))
    return table


def _steps(score: Score) -> str:
    if score.team == REFERENCE or score.env_steps is None:
        return ""
    return f"{score.env_steps:,}" + (" (best)" if score.chosen else "")


def _common(cells: Sequence[str]) -> str:
    return cells[0] if len(set(cells)) == 1 else "various"


def _estimate(value: Estimate) -> str:
    return interval(value.mean, value.low, value.high)


def _aggregate(value: Aggregate) -> str:
    return interval(value.value, value.low, value.high)
