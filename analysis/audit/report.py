"""Shows findings: tables for people, a picture of the matrices.  JSON is `Findings.as_dict`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.audit.condition import LINK, WORLD
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED
from analysis.audit.finding import Findings
from heliograph import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MATRICES = {LINK: "one link at a time, forced open", WORLD: "the world's own neighbour graph"}

DRAWN_STEPS = 8
"""Later than so many steps all cells look alike; their numbers tell them apart."""

SHOWN_LEAKS, SHOWN_UNTESTED = 8, 4

_COLOURS = {HOLDS: "green", REFUTED: "red"}


def print_findings(findings: Findings) -> None:
    """Print verdicts, the influence matrices and what a reader must know besides to stdout."""
    from rich.markup import escape

    console = display.console()
    headings = ("check", "verdict", "evidence")
    table = display.table(f"audit: {findings.title}", *headings, left=headings)
    for check in findings.checks:
        colour = _COLOURS.get(check.verdict, "yellow")
        table.add_row(check.name, f"[{colour}]{check.verdict}[/]", escape(check.said))
    console.print(table)
    if findings.conditions.all_pairs and findings.influences:
        for name, title in MATRICES.items():
            console.print(f"\nSteps until the row's observations reach the column's answers, {title}:")
            matrix = display.table("", "", *map(str, range(findings.agents)))
            for sender, row in enumerate(cells(findings, name)):
                matrix.add_row(str(sender), *row)
            console.print(matrix)
    elif not findings.conditions.all_pairs:
        console.print("The influence matrix is empty: these bundles send no messages.")
    for line in remarks(findings):
        console.print(line, highlight=False, markup=False)


def cells(findings: Findings, name: str) -> list[list[str]]:
    """[j][i] in words: steps; `-` where nothing arrived; empty where nothing was tried."""
    delays = findings.matrix(name)
    tried = {path for check, path in findings.influences if check == name}
    return [
        [
            "-" if delay is None and (j, i) in tried else "" if delay is None else str(delay)
            for i, delay in enumerate(row)
        ]
        for j, row in enumerate(delays)
    ]


def remarks(findings: Findings) -> list[str]:
    """What a reader of the tables must know besides."""
    lines = []
    if findings.interrupted:
        lines.append("Interrupted: results cover completed script runs only.")
    sizes = findings.conditions
    if sizes.pairs < sizes.all_pairs or sizes.triples < sizes.all_triples:
        lines.append(
            f"Drawn by seed {findings.run_seed}: {sizes.pairs} of {sizes.all_pairs} ordered pairs, "
            f"{sizes.triples} of {sizes.all_triples} ordered triples; --limit sets how many."
        )
    if findings.unused:
        lines.append(f"Unused links, over which nothing changed: {_some([f'{j}->{i}' for j, i in findings.unused])}")
    unheard = _unheard(findings)
    if unheard:
        lines.append(f"Links that the world never opened in the scripts: {_some(unheard)}")
    mute = sorted(set(range(findings.agents)) - findings.responsive)
    if mute and findings.runs and not findings.interrupted:
        lines.append(
            f"Agents that answered the same whatever they observed, so that the audit says nothing about them: {mute}"
        )
    if findings.untested:
        lines.append(f"Not tried: {_some(findings.untested, limit=SHOWN_UNTESTED)}")
    lines += [f"LEAK ({leak.check}): {leak}" for leak in findings.leaks[:SHOWN_LEAKS]]
    if len(findings.leaks) > SHOWN_LEAKS:
        lines.append(f"and {len(findings.leaks) - SHOWN_LEAKS} leaks more, all of them in the JSON")
    if findings.refuted:
        lines.append("REFUTED: see the checks above.")
    elif not findings.interrupted:
        unchecked = [check.name for check in findings.checks if check.verdict == NOT_CHECKED]
        rest = f", as far as was checked; not checked: {_some(unchecked)}." if unchecked else "."
        lines.append(
            f"Nothing refutes that each agent depends on its own observations and delivered messages alone{rest}"
        )
    return lines


def draw(findings: Findings, path: Path) -> bool:
    """Draw the matrices as PNG; false where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    side = max(3.0, 0.45 * findings.agents)
    figure = Figure(figsize=(2 * side + 1.0, side + 1.6), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(MATRICES)), MATRICES.items(), strict=True):
        _draw_matrix(axes, findings, name, title)
    figure.suptitle(f"Steps until an agent's observations reach another's answers\n{findings.title}", fontsize=10)
    figure.savefig(path, format="png")
    return True


def _draw_matrix(axes: Axes, findings: Findings, name: str, title: str) -> None:
    delays = [[math.nan if delay is None else delay for delay in row] for row in findings.matrix(name)]
    axes.imshow(delays, cmap="YlGn_r", vmin=-2.0, vmax=DRAWN_STEPS)
    for j, row in enumerate(cells(findings, name)):
        for i, text in enumerate(row):
            axes.text(i, j, "" if i == j else text, ha="center", va="center", fontsize=9)
    axes.set(title=title, xlabel="observed agent", ylabel="perturbed agent")
    axes.title.set_fontsize(9)
    axes.set_xticks(range(findings.agents))
    axes.set_yticks(range(findings.agents))


def _unheard(findings: Findings) -> list[str]:
    agents = range(findings.agents if findings.world_share and findings.conditions.all_pairs else 0)
    return [f"{j}->{i}" for j in agents for i in agents if j != i and not findings.world_share[j][i]]


def _some(names: list[str], *, limit: int = 12) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
