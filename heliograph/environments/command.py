"""`heliograph environments`: the table of known environments, or the same as JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from heliograph.cli import Command

if TYPE_CHECKING:
    from heliograph.environments.registry import KnownEnvironment

_COLUMNS = ("id", "agents", "observed", "actions", "steps", "outcome", "blind", "illegal actions", "hears", "state", "drawn", "installed")
_WIDTH = 160
"""Columns of the output where no terminal says how many it has."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.environments.registry import known

    rows = known()
    if arguments.json:
        import json

        print(json.dumps([_as_dict(row) for row in rows], indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Environments, with default parameters")
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)
    for row in rows:
        console.print(f"[bold]{row.id}[/bold]: {row.summary}.", highlight=False)
        if row.parameters:
            console.print(f"  parameters: {', '.join(row.parameters)}", highlight=False)
        if not row.installed:
            console.print(f"  install: {row.install}", markup=False, highlight=False)
    console.print("Any other PettingZoo parallel environment: its module's path, or package.module:factory.")
    return 0


def _cells(row: KnownEnvironment) -> list[str]:
    spec = row.spec
    if spec is None:
        return [row.id, *[""] * (len(_COLUMNS) - 2), "no"]
    bound = "" if spec.blind_bound is None else f"{spec.blind_bound:.4f}"
    sizes = [str(number) for number in (spec.agents, spec.observation_size, spec.actions, spec.episode_limit)]
    mask = "some" if spec.has_action_mask else "none"
    graph = "all" if spec.complete_graph else "some"
    state = str(spec.state_size) if spec.state_size else "none"
    return [row.id, *sizes, spec.outcome, bound, mask, graph, state, "yes" if spec.renders else "no", "yes"]


def _as_dict(row: KnownEnvironment) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(row)


COMMAND = Command(
    summary="list the known environments with their sizes, limits and parameters", configure=_configure, run=_run
)
