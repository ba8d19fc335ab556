"""How a command ends: its report printed and written, its exit code chosen.  For the commands of this house."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coordinator.running.report import Report, print_report
from heliograph.documents import write_json
from heliograph.errors import INTERRUPTED_EXIT_CODE, NodeFailed, OutputFailed

BELOW_MINIMUM_EXIT_CODE = 1


def conclude(report: Report, namespace: argparse.Namespace, *, restarts: int = 0) -> int:
    """Show the report as the arguments ask; return the exit code of the command."""
    deliver(report.as_dict(), namespace.json, show=lambda: print_report(report))
    return exit_code(report, namespace.minimum_outcome, restarts=restarts)


def exit_code(report: Report, minimum: float | None, *, restarts: int = 0) -> int:
    """That of a command whose team must reach the minimum, and whose nodes may each die `restarts` times."""
    if report.output_failure is not None:
        return OutputFailed.exit_code
    if report.interrupted:
        return INTERRUPTED_EXIT_CODE
    lost = [end for end in report.endings if sum(other.slot == end.slot for other in report.endings) > restarts]
    if lost:
        return NodeFailed.exit_code
    if report.undrawn is not None:
        return OutputFailed.exit_code
    return minimum_exit_code(report, minimum)


def minimum_exit_code(report: Report, minimum: float | None) -> int:
    """0, or 1 with a sentence if the first pass came out below the minimum that was asked for."""
    if minimum is None or report.summaries[0].outcome.mean >= minimum:
        return 0
    found = report.summaries[0].outcome.mean
    print(f"outcome {found:.3f} is below the minimum of {minimum:g}", file=sys.stderr)
    return BELOW_MINIMUM_EXIT_CODE


def deliver(document: dict[str, Any], path: Path | None, *, show: Callable[[], None]) -> None:
    """Write the JSON, and show the table unless that is what stdout is for: neither costs the other.

    Raises OutputFailed, after all that could be told, if the file cannot be written.
    """
    try:
        write_json(document, path)
    finally:
        if path != Path("-"):
            show()
