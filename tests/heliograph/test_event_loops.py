"""Work with an event loop of its own, called where one runs already."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

import pytest

from heliograph.errors import NodeFailed
from heliograph.event_loops import beside_a_running_loop, call_on_signal, loop_factory
from heliograph.stopping import NUMBERS, StopRequest, handlers_kept, interrupted_by_sigterm, obeying_signals


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


@pytest.mark.parametrize("number", NUMBERS)
def test_a_loop_that_is_closed_leaves_signals_to_who_handled_them_before(number: signal.Signals) -> None:
    async def handled() -> None:
        came = asyncio.Event()
        call_on_signal(asyncio.get_running_loop(), number, lambda _: came.set())
        signal.raise_signal(number)
        await asyncio.wait_for(came.wait(), 60)

    with interrupted_by_sigterm():
        with handlers_kept(), asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(handled())
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def interrupted(work: Callable[[threading.Event], str]) -> str:
    """What work returns that is done beside a loop, and during which Ctrl-C is pressed once it sets its event."""
    begun = threading.Event()

    def press() -> None:
        assert begun.wait(60)
        signal.raise_signal(signal.SIGINT)

    async def notebook() -> str:
        # A notebook's loop leaves Ctrl-C to the cell that runs, as Python does without a loop.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        presses = threading.Thread(target=press)
        presses.start()
        try:
            return beside_a_running_loop(lambda: work(begun))
        finally:
            presses.join()

    return asyncio.run(notebook())


def test_ctrl_c_reaches_the_work_which_may_still_say_what_it_has() -> None:
    def counts(begun: threading.Event) -> str:
        try:
            begun.set()
            while True:
                begun.wait(0.001)
        except KeyboardInterrupt:
            return "half of it"

    assert interrupted(counts) == "half of it"


def test_ctrl_c_asks_work_that_obeys_signals_to_stop_in_order() -> None:
    def counts(begun: threading.Event) -> str:
        request, told = StopRequest(), threading.Event()
        with obeying_signals(request, on_request=told.set):
            begun.set()
            assert told.wait(60)
        return "in order" if request.wanted else "not asked"

    assert interrupted(counts) == "in order"


def test_ctrl_c_before_the_work_began_is_nobodys_but_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[None] = []

    def pressed(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    async def notebook() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", pressed)
            with pytest.raises(KeyboardInterrupt):
                beside_a_running_loop(lambda: begun.append(None))

    asyncio.run(notebook())
    assert not begun
