"""How work is asked to stop, and obeys within seconds wherever it is.

Ctrl-C and SIGTERM first ask: the work looks between its steps and ends in order, with what it has.  What does not come
to such a place in time - an environment that does not return, a long export - is cut short by KeyboardInterrupt.

For every command with long work in its main thread.  Imports nothing heavy.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PATIENCE_S = 10.0
"""How long work that was asked to stop may go on before it is cut short."""

TOGETHER_S = 1.0
"""Within which a second signal is the first one again: schedulers and terminals signal all processes of a job, and who
began this one hands it on, too."""

NUMBERS = (signal.SIGINT, signal.SIGTERM)

asked_elsewhere: ContextVar[list[Callable[[], None]]] = ContextVar("asked_elsewhere")
"""How work in a thread that no signal reaches is asked to stop, innermost last; of the thread that waits for it."""


class Stopped(Exception):
    """The work was left because a stop was asked for."""


class StopRequest:
    """Whether somebody wants work to end; may be asked from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._obeyed = threading.Event()

    @property
    def wanted(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask the work to end."""
        self._asked.set()

    def check(self) -> None:
        """Raise Stopped if a stop was asked for; to be called between two steps of the work."""
        if self.wanted:
            raise Stopped

    def obey(self) -> None:
        """Say that the work has come to a stop: what it has still to write is not to be cut short."""
        self._obeyed.set()

    def obeyed(self, *, within_s: float) -> bool:
        """Wait until `obey` is called; whether it was in time."""
        return self._obeyed.wait(within_s)


@contextmanager
def obeying_signals(
    request: StopRequest,
    *,
    on_request: Callable[[], None] = lambda: None,
    patience_s: float = PATIENCE_S,
    insisting: bool = True,
) -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM asks to stop and calls `on_request`; for the main thread.
    In another one whoever waits for it asks, by what it has put into `asked_elsewhere`.

    Unless the work obeys within `patience_s`, KeyboardInterrupt is raised wherever it is, and with a second signal at
    once, if it comes more than `TOGETHER_S` later; if that is `insisting`, even where the work obeys already.
    """
    if threading.current_thread() is not threading.main_thread():
        with _obeying_elsewhere(request, on_request):
            yield
        return
    ended, late = threading.Event(), threading.Event()
    asked: float | None = None

    def on_signal(_number: int, _frame: object) -> None:
        nonlocal asked
        # Not whether it is wanted: that may have been asked for elsewhere a moment ago, by the same signal.
        if asked is not None:
            if time.monotonic() - asked < TOGETHER_S and not late.is_set():
                return
            if insisting or not request.obeyed(within_s=0):
                raise KeyboardInterrupt
            return
        asked = time.monotonic()
        request.ask()
        threading.Thread(target=cut_short, name="patience", daemon=True).start()
        on_request()

    def cut_short() -> None:
        # Again and again, for an environment may swallow the interruption.
        while not request.obeyed(within_s=patience_s) and not ended.is_set():
            late.set()
            _interrupt_main_thread()

    previous = [signal.signal(number, on_signal) for number in NUMBERS]
    try:
        yield
    finally:
        ended.set()
        request.obey()
        for number, handler in zip(NUMBERS, previous, strict=True):
            signal.signal(number, handler)


def _interrupt_main_thread() -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:  # on Windows, where no call that waits is woken by it
        _thread.interrupt_main()


@contextmanager
def _obeying_elsewhere(request: StopRequest, on_request: Callable[[], None]) -> Iterator[None]:
    def ask() -> None:
        request.ask()
        on_request()

    waiting = asked_elsewhere.get([])
    waiting.append(ask)
    try:
        yield
    finally:
        waiting.remove(ask)
        request.obey()


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Afterwards SIGINT and SIGTERM do what they did before: an event loop that is closed leaves its own handlers,
    which then do nothing, or none.  For the main thread."""
    previous = [signal.getsignal(number) for number in NUMBERS]
    try:
        yield
    finally:
        for number, handler in zip(NUMBERS, previous, strict=True):
            signal.signal(number, handler)


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM does what Ctrl-C does, so that whoever is ended either way ends in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def deferring_signals() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM wait until it is over: for a moment's work that must not be left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    previous = [signal.signal(number, lambda number, _frame: came.append(number)) for number in NUMBERS]
    try:
        yield
    finally:
        for number, handler in zip(NUMBERS, previous, strict=True):
            signal.signal(number, handler)
        for late in dict.fromkeys(came):
            signal.raise_signal(late)
