"""Cells in processes of this machine that play them side by side, each a team in one process.

A process that dies costs the cell that it ran, and another takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

from analysis.bandwidth.cell import Cell, CellResult, Failure, PlanOf, run_cell
from coordinator.observers.progress import counted_by
from coordinator.running.worker_pool import Answered, Died, ReportProgress, side_by_side
from heliograph.errors import WorldError

EPISODE = None
"""What a worker reports of each finished episode."""


def run_in_workers(
    cells: Sequence[Cell], plan_of: PlanOf, *, jobs: int, advance: Callable[[Cell], None]
) -> Iterator[CellResult]:
    """Play cells in up to `jobs` processes and yield each as it is finished; `advance` is told of every episode.

    Ending the iteration early ends the processes at once.
    """
    with closing(side_by_side(cells, partial(_run, plan_of), jobs=jobs)) as events:
        for event in events:
            if isinstance(event, Died):
                failure = Failure(reason=f"its worker process {event.cause}", exit_code=WorldError.exit_code)
                yield CellResult(cell=event.piece, found=failure)
            elif isinstance(event, Answered):
                yield event.answer
            else:
                advance(event.piece)


def _run(plan_of: PlanOf, cell: Cell, report: ReportProgress) -> CellResult:
    with counted_by(lambda: report(EPISODE)):
        return run_cell(cell, plan_of, local=True)
