"""`heliograph evaluate`: a team of bundles in one process, beside the trainer's own central evaluation if asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator import arguments
from heliograph.cli import Command
from heliograph.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from coordinator.plan import Plan
    from coordinator.report import Report

EVALUATOR_GROUP, CENTRAL = "heliograph.evaluators", "central"
"""Entry point of a callable `(path: Path, *, episodes, seed, greedy, links_cut) -> dict` with the keys `episodes`
and `outcomes` (one float per episode).

It evaluates a run folder with the trainer's networks in one forward pass, so this house needs no torch for it.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="folder of bundles, or a run folder that has them in bundles/")
    arguments.add_episode_arguments(parser)
    parser.add_argument("--frames", type=Path, metavar="DIR", help="draw the first episode of each pass as PNG files")
    parser.add_argument("--central", action="store_true", help="also evaluate the run folder's networks, all at once")


def run(namespace: argparse.Namespace) -> int:
    from coordinator.conclusion import minimum_exit_code, write_json
    from coordinator.evaluation import evaluate
    from coordinator.plan import make_plan
    from coordinator.report import print_report
    from heliograph.bundle import load_team
    from heliograph.errors import INTERRUPTED_EXIT_CODE

    if namespace.central and namespace.overrides:
        raise SettingsError("--central evaluates in the run's own world, without --set")
    central_evaluator = _central_evaluator() if namespace.central else None
    folder = namespace.path / "bundles" if (namespace.path / "bundles").is_dir() else namespace.path
    plan = make_plan(
        load_team(folder),
        agents=namespace.agents,
        environment=namespace.environment,
        overrides=namespace.overrides,
        episodes=namespace.episodes,
        run_seed=namespace.seed,
        greedy=namespace.greedy,
        passes=arguments.passes(namespace),
        record=namespace.record,
        frames=namespace.frames,
    )
    report = evaluate(plan)
    central = []
    if central_evaluator is not None and not report.interrupted:
        central = [_evaluate_centrally(central_evaluator, namespace.path, plan, name) for name in plan.passes]
    write_json(report.as_dict() | ({"central": central} if namespace.central else {}), namespace.json)
    if namespace.json != Path("-"):
        print_report(report)
        if central:
            _print_comparison(report, central)
    if report.interrupted:
        return INTERRUPTED_EXIT_CODE
    return minimum_exit_code(report, namespace.minimum_outcome)


def _central_evaluator() -> Callable[..., dict[str, Any]]:
    found = list(entry_points(group=EVALUATOR_GROUP, name=CENTRAL))
    if not found:
        raise MissingExtra("no central evaluator is installed", remedy="pip install 'heliograph[trainer]'")
    try:
        return found[0].load()
    except ImportError as error:
        raise MissingExtra(
            f"the central evaluator needs {error.name}", remedy="pip install 'heliograph[trainer]'"
        ) from None


def _evaluate_centrally(evaluator: Callable[..., dict[str, Any]], path: Path, plan: Plan, name: str) -> dict[str, Any]:
    from coordinator.plan import LABELS
    from heliograph.estimates import estimate

    found = evaluator(path, episodes=plan.episodes, seed=plan.run_seed, greedy=plan.greedy, links_cut=name == "cut")
    outcomes = [float(value) for value in found["outcomes"]]
    if not outcomes:
        raise SettingsError(f"the central evaluator played no episode of {path}")
    found_estimate = estimate(outcomes)
    return {
        "label": LABELS[name],
        "episodes": int(found["episodes"]),
        "outcome": {"mean": found_estimate.mean, "low": found_estimate.low, "high": found_estimate.high},
    }


def _print_comparison(report: Report, central: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from coordinator.report import output_console

    console = output_console()
    table = Table(title="bundles, each alone, and the trainer's networks, all at once", title_justify="left")
    for heading in ("", "each alone", "all at once", "intervals"):
        table.add_column(heading, justify="left" if not heading else "right")
    for summary, other in zip(report.summaries, central, strict=True):
        alone, together = summary.outcome, other["outcome"]
        overlap = alone.low <= together["high"] and together["low"] <= alone.high
        table.add_row(
            f"outcome {summary.label}",
            f"{alone.mean:.3f} [{alone.low:.3f}, {alone.high:.3f}]",
            f"{together['mean']:.3f} [{together['low']:.3f}, {together['high']:.3f}]",
            "overlap" if overlap else "apart",
        )
    console.print(table)


COMMAND = Command(summary="evaluate a team of bundles in one process", configure=configure, run=run)
