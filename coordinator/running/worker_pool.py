"""A worker pool: processes of this machine that do pieces of work side by side, each one piece after another.

It has neither threads nor locks, so that Ctrl-C may come anywhere.  KeyboardInterrupt amid a pool of the standard
library, which comes where a lock has just been taken once in some twenty times, leaves that lock taken: its thread then
waits for ever, and the interpreter for its thread.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from heliograph.spawning import away_from_the_current_folder, begin
from heliograph.stopping import deferring_signals

ENDING_S = 5.0
"""How long a process may take to end that has nothing more to do, or that was told to, before it is killed."""

Piece = TypeVar("Piece")
ReportProgress = Callable[[Any], None]
Work = Callable[[Piece, ReportProgress], Any]
"""Does a piece in a worker and returns the answer; may report of what is done meanwhile.  All of it can be pickled."""


@dataclass(frozen=True, kw_only=True)
class Reported(Generic[Piece]):
    """What a worker reported of a piece that it has not done yet."""

    piece: Piece
    what: Any


@dataclass(frozen=True, kw_only=True)
class Answered(Generic[Piece]):
    """A piece is done."""

    piece: Piece
    answer: Any


@dataclass(frozen=True, kw_only=True)
class Died(Generic[Piece]):
    """A worker ended amid a piece, which is not tried again; another worker takes its place."""

    piece: Piece
    cause: str
    """After "it": "was ended by signal 9"."""


@dataclass(kw_only=True)
class _Worker(Generic[Piece]):
    process: BaseProcess
    connection: Connection
    given: deque[Piece] = field(default_factory=deque)
    """What it has not answered yet, in order."""

    @classmethod
    def start(cls, work: Work[Piece]) -> _Worker[Piece]:
        context = multiprocessing.get_context("spawn")  # a fork would take the threads of simulators along
        here, there = context.Pipe()
        # As a daemon it is ended with this process, even where a second Ctrl-C leaves no time for it here.
        process = context.Process(target=_serve, args=(there, work), daemon=True)
        with away_from_the_current_folder():
            process.start()
        there.close()
        return cls(process=process, connection=here)

    def give(self, piece: Piece) -> None:
        self.given.append(piece)
        with suppress(ConnectionError):  # it has died, which the next reading tells
            self.connection.send(piece)

    def cause_of_death(self) -> str:
        self.process.join()
        code = self.process.exitcode or 0
        return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def side_by_side(
    pieces: Iterable[Piece], work: Work[Piece], *, jobs: int, ahead: int = 1
) -> Generator[Reported[Piece] | Answered[Piece] | Died[Piece], None, None]:
    """Do pieces in up to `jobs` processes, and yield what comes of them as it comes.

    A worker holds up to `ahead` pieces, so that of short ones it need not wait for the next.  Ending the iteration
    early ends the processes at once, whatever they are doing.
    """
    pool = _Pool(pieces=iter(pieces), work=work, jobs=jobs, ahead=ahead)
    done = False
    try:
        while busy := pool.busy():
            for connection in wait(busy):
                assert isinstance(connection, Connection)
                yield pool.receive(connection)
        done = True
    finally:
        pool.end(at_once=not done)


@dataclass(kw_only=True)
class _Pool(Generic[Piece]):
    pieces: Iterator[Piece]
    work: Work[Piece]
    jobs: int
    ahead: int
    _returned: deque[Piece] = field(default_factory=deque)
    """Given to workers that died before they came to them."""
    _workers: dict[Connection, _Worker[Piece]] = field(default_factory=dict)

    def busy(self) -> list[Connection]:
        """Those that have something to do, once what may be given is given."""
        while any(len(each.given) < self.ahead for each in self._workers.values()) or len(self._workers) < self.jobs:
            try:
                piece = self._returned.popleft() if self._returned else next(self.pieces)
            except StopIteration:
                break
            self._next_hand().give(piece)
        return [connection for connection, worker in self._workers.items() if worker.given]

    def _next_hand(self) -> _Worker[Piece]:
        """An idle worker, else a new one, else, if there are as many as may be, the one with the fewest pieces."""
        least = min(self._workers.values(), key=lambda each: len(each.given), default=None)
        if least is not None and (not least.given or len(self._workers) == self.jobs):
            return least
        with deferring_signals():  # half a start would leave a process that nobody knows of
            worker = _Worker.start(self.work)
            self._workers[worker.connection] = worker
        return worker

    def receive(self, connection: Connection) -> Reported[Piece] | Answered[Piece] | Died[Piece]:
        worker = self._workers[connection]
        try:
            message = connection.recv()
        except (EOFError, ConnectionError):
            del self._workers[connection]
            connection.close()
            piece = worker.given.popleft()
            self._returned.extend(worker.given)
            return Died(piece=piece, cause=worker.cause_of_death())
        if isinstance(message, _Answer):
            return Answered(piece=worker.given.popleft(), answer=message.answer)
        return Reported(piece=worker.given[0], what=message)

    def end(self, *, at_once: bool) -> None:
        """Let the workers end, which have nothing to do any more, or make them."""
        with deferring_signals():
            for worker in self._workers.values():
                if at_once:
                    worker.process.terminate()
                worker.connection.close()
            for worker in self._workers.values():
                worker.process.join(ENDING_S)
                worker.process.kill()
                worker.process.join()


@dataclass(frozen=True)
class _Answer:
    """What a worker sends last of a piece."""

    answer: Any


def _serve(connection: Connection, work: Work[Any]) -> None:
    """What a worker does until its parent closes its end."""
    begin()
    multiprocessing.current_process().daemon = False  # a world may start processes of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            piece = connection.recv()
        except (EOFError, ConnectionError):
            return
        answer = _Answer(work(piece, connection.send))
        with suppress(ConnectionError):  # the parent has closed its end, which the next reading tells
            connection.send(answer)


def _end_with_parent() -> None:
    """Wait until the parent has gone; then end this process, whatever its world is doing."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(0)
