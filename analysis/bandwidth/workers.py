"""A worker pool: processes of this machine that run cells in parallel, each a team in one process.

A process that dies costs the cell that it ran, and another takes its place.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from analysis.bandwidth.cell import Cell, CellResult, Failure, PlanOf, run_cell
from coordinator.observers.progress import counted_by
from heliograph.errors import WorldError
from heliograph.spawning import away_from_the_current_folder, begin

EPISODE = None
"""What a process sends for each finished episode; it sends a CellResult when the cell is done."""


def run_in_workers(
    cells: Sequence[Cell], plan_of: PlanOf, *, jobs: int, advance: Callable[[Cell], None]
) -> Iterator[CellResult]:
    """Play cells in up to `jobs` processes and yield each as it is finished; `advance` is told of every episode.

    Ending the iteration early ends the processes at once.
    """
    context = multiprocessing.get_context("spawn")  # a fork would take the threads of simulators along
    waiting = deque(cells)
    busy: dict[Connection, tuple[BaseProcess, Cell]] = {}

    def spawn() -> None:
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, plan_of), daemon=True)
        with away_from_the_current_folder():
            process.start()
        there.close()
        give(here, process)

    def give(connection: Connection, process: BaseProcess) -> None:
        busy[connection] = process, waiting.popleft()
        with suppress(ConnectionError):  # it has died, which the next reading tells
            connection.send(busy[connection][1])

    try:
        while waiting or busy:
            while waiting and len(busy) < jobs:
                spawn()
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                process, cell = busy[connection]
                try:
                    message = connection.recv()
                except (EOFError, ConnectionError):
                    del busy[connection]
                    process.join()
                    yield CellResult(cell=cell, found=_failure(process))
                    continue
                if message is EPISODE:
                    advance(cell)
                    continue
                del busy[connection]
                if waiting:
                    give(connection, process)
                else:
                    connection.close()  # which ends the process
                    process.join()
                yield message
    finally:
        for process, _ in busy.values():
            process.terminate()
        for process, _ in busy.values():
            process.join()


def _failure(process: BaseProcess) -> Failure:
    code = process.exitcode or 0
    cause = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return Failure(reason=f"its worker process {cause}", exit_code=WorldError.exit_code)


def _work(connection: Connection, plan_of: PlanOf) -> None:
    begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    with counted_by(lambda: connection.send(EPISODE)):
        while True:
            try:
                cell = connection.recv()
            except EOFError:
                return
            connection.send(run_cell(cell, plan_of, local=True))
