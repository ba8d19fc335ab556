"""Event loops: which kind, their signals, and work that runs one of its own where one runs already (in a notebook).

For the roles.  Imports nothing heavy.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from heliograph.stopping import asked_elsewhere

T = TypeVar("T")

_LOOK_S = 0.1
"""How often a thread that waits lets Ctrl-C through."""


def beside_a_running_loop(work: Callable[[], T]) -> T:
    """Do the work and return what it returns: here, or in a thread of its own if this thread's event loop runs.

    An event loop cannot be entered twice, and a notebook's always runs.  Ctrl-C meanwhile asks the work to stop, if it
    obeys signals (`heliograph.stopping`), and otherwise, or the second time, reaches it as KeyboardInterrupt; what it
    then returns or raises is what the caller gets.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    found: Future[T] = Future()
    context = contextvars.copy_context()
    ways_to_ask: list[Callable[[], None]] = []
    context.run(asked_elsewhere.set, ways_to_ask)
    asked = False

    def do() -> None:
        try:
            found.set_result(context.run(work))
        except BaseException as error:
            found.set_exception(error)

    thread = threading.Thread(target=do, name="heliograph", daemon=True)
    while not found.done():
        try:
            if thread.ident is None:
                thread.start()
            wait([found], timeout=_LOOK_S)
        except KeyboardInterrupt:
            if thread.ident is None:
                raise
            if ways_to_ask and not asked:
                asked = True
                ways_to_ask[-1]()
            else:
                _interrupt(thread)
    return found.result()


def _interrupt(thread: threading.Thread) -> None:
    """Raise KeyboardInterrupt in a thread, at its next instruction: signals reach the main thread alone."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, where it is installed; there is none for Windows."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def call_on_signal(
    loop: asyncio.AbstractEventLoop, number: signal.Signals, callback: Callable[[signal.Signals], None]
) -> None:
    """Have the loop call back with the signal whenever it comes; for the main thread."""
    try:
        loop.add_signal_handler(number, callback, number)
    except NotImplementedError:  # on Windows, where Python's own handlers reach the main thread alone
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback, number))
