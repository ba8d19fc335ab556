"""Work on an event loop that ends when it is asked to: by an event, by Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from heliograph.stopping import Stopped, StopRequest, obeying_signals

T = TypeVar("T")

HELD_UP_S = 3.0
"""How long a world may hold the loop up when a stop is asked for; then its step is cut short."""


async def first_of(work: Coroutine[Any, Any, T], watch: Coroutine[Any, Any, None], stop: asyncio.Event) -> T:
    """Run `work` to its end and return its result, unless `watch` fails or `stop` is set first.

    Raises Stopped in the last case, unless the work, which may still finish what it has begun, fails in doing so.
    Nothing keeps running afterwards.
    """
    working, watching, stopping = asyncio.ensure_future(work), asyncio.ensure_future(watch), stop.wait()
    tasks: tuple[asyncio.Future[Any], ...] = (working, watching, asyncio.ensure_future(stopping))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if watching.done():
            watching.result()  # which raises what it found
    finally:
        for task in tasks:
            task.cancel()
        found, *_ = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(found, Exception):  # a CancelledError is none
        raise found
    raise Stopped


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work, which must take a bounded time, even if the task that waits is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def until_signal(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Do the work that is handed an event, which Ctrl-C and SIGTERM set."""
    stop, request = asyncio.Event(), StopRequest()
    loop = asyncio.get_running_loop()

    def end() -> None:
        request.obey()  # the loop is not held up by a world that does not return
        stop.set()

    def announce() -> None:
        loop.call_soon_threadsafe(end)

    with obeying_signals(request, on_request=announce, patience_s=HELD_UP_S, insisting=False):
        return await work(stop)
