"""Work with an event loop of its own, called where one runs already."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from heliograph.errors import NodeFailed
from heliograph.event_loops import beside_a_running_loop


async def answer() -> tuple[int, str]:
    await asyncio.sleep(0)
    return 42, threading.current_thread().name


def work() -> tuple[int, str]:
    return asyncio.run(answer())


def test_without_a_loop_it_is_done_where_it_was_asked_for() -> None:
    assert beside_a_running_loop(work) == (42, threading.current_thread().name)


def test_within_a_loop_it_is_done_beside_it() -> None:
    async def notebook() -> tuple[int, str]:
        return beside_a_running_loop(work)

    assert asyncio.run(notebook()) == (42, "heliograph")


def test_what_it_raises_is_raised() -> None:
    def fails() -> None:
        raise NodeFailed("node 1 ended")

    async def notebook() -> None:
        beside_a_running_loop(fails)

    with pytest.raises(NodeFailed, match="node 1 ended"):
        asyncio.run(notebook())


def test_ctrl_c_reaches_the_work_which_may_still_say_what_it_has() -> None:
    begun = threading.Event()

    def counts() -> str:
        try:
            begun.set()
            while True:
                begun.wait(0.001)
        except KeyboardInterrupt:
            return "half of it"

    def press() -> None:
        assert begun.wait(60)
        signal.raise_signal(signal.SIGINT)

    async def notebook() -> str:
        # A notebook's loop leaves Ctrl-C to the cell that runs, as Python does without a loop.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        presses = threading.Thread(target=press)
        presses.start()
        try:
            return beside_a_running_loop(counts)
        finally:
            presses.join()

    assert asyncio.run(notebook()) == "half of it"
