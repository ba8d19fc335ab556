"""When a lean connection reads: always, but while it rests, until it speaks, is waited for, or has rested enough."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from agent_node.transport.lean import turns
from agent_node.transport.lean.call import LeanCall
from agent_node.transport.lean.client import LeanLine
from agent_node.transport.lean.server import LeanServer
from agent_node.transport.seam import AcceptedCall, CallEnded
from heliograph.certificates.identity import Identity
from heliograph.refusals import Refusals

DEADLINE_S = 20.0
FOR_EVER_S = 3600.0
MESSAGE = bytes(29)


class End:
    """One end of a stream, and what it has got."""

    def __init__(self, call: LeanCall) -> None:
        self.call = call
        self.got = self.spoken = 0
        self._came = asyncio.Event()
        self._link = call._link
        self.socket: socket.socket = self._link.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        self.over = asyncio.Event()
        self._reading = asyncio.ensure_future(self._read())

    def speak(self) -> None:
        self.spoken += 1
        self.call.send(MESSAGE)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self.got < count:
                self._came.clear()
                await self._came.wait()

    async def until_unread(self) -> None:
        """Bytes have come that it has not read, and it has had a chance to."""
        async with asyncio.timeout(DEADLINE_S):
            while not struct.unpack("i", fcntl.ioctl(self.socket.fileno(), termios.FIONREAD, bytes(4)))[0]:
                await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)

    def bare_acknowledgements(self) -> int:
        """Packets that it has sent without anything in them, by the kernel's `tcp_info`."""
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
        if len(info) < 160:
            pytest.skip("this kernel does not count packets with data")
        segments, with_data = struct.unpack_from("I", info, 136)[0], struct.unpack_from("I", info, 156)[0]
        return int(segments - with_data)

    async def _read(self) -> None:
        with contextlib.suppress(CallEnded):
            await self.call.receive(self._take)
        self.over.set()

    def _take(self, _data: bytes) -> None:
        self.got += 1
        if self.got == self.spoken:  # as a node, in messages of a step
            self.call.rest()
        self._came.set()


@asynccontextmanager
async def stream() -> AsyncIterator[tuple[End, End]]:
    """Both ends of a lean stream in one process."""
    server = LeanServer(tls=None, refusals=Refusals())
    accepted: asyncio.Future[AcceptedCall] = asyncio.get_running_loop().create_future()

    async def handler(call: AcceptedCall) -> None:
        await call.accept(b"")
        accepted.set_result(call)
        await asyncio.get_running_loop().create_future()

    server.serve(handler)
    address = f"127.0.0.1:{server.bind('127.0.0.1:0', insecure=False)}"
    await server.start()
    call = await LeanLine(address, tls=None, peer=Identity(slot=1)).call(b"")
    try:
        await call.answer()
        taken = await accepted
        assert isinstance(taken, LeanCall)
        yield End(call), End(taken)
    finally:
        call.cancel()
        await server.stop(grace_s=0.1)


def play(script: Callable[[End, End], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), stream() as (one, other):
            await script(one, other)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def speak_and_hear_once(one: End, other: End) -> None:
    one.speak()
    await other.until(1)
    other.speak()
    await one.until(1)


@pytest.mark.parametrize("act", [End.speak, lambda end: end.call.attend()])
def test_what_comes_after_one_answer_is_read_when_this_side_speaks_or_waits(
    act: Callable[[End], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LONGEST_S", FOR_EVER_S)

    async def script(one: End, other: End) -> None:
        await speak_and_hear_once(one, other)
        for _ in range(3):
            other.speak()
        await one.until_unread()
        assert one.got == 1
        act(one)
        await one.until(4)

    play(script)


def test_a_side_that_counts_has_read_what_had_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_S", FOR_EVER_S)

    async def script(one: End, other: End) -> None:
        await speak_and_hear_once(one, other)
        other.speak()
        await one.until_unread()
        await asyncio.gather(one.call.flush(timeout_s=DEADLINE_S))
        assert one.got == 2

    play(script)


def test_who_does_not_speak_reads_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(one: End, other: End) -> None:
        await speak_and_hear_once(one, other)
        for expected in range(2, 10):  # the first after a while, and all others at once
            other.speak()
            await one.until(expected)
            monkeypatch.setattr(turns, "LONGEST_S", FOR_EVER_S)

    play(script)


def test_the_end_of_a_connection_is_noticed_while_nothing_is_read() -> None:
    async def script(one: End, other: End) -> None:
        await speak_and_hear_once(one, other)
        other._link.cut("enough")  # type: ignore[attr-defined]
        await asyncio.wait_for(one.over.wait(), DEADLINE_S)

    play(script)


@pytest.mark.skipif(sys.platform != "linux", reason="tcp_info is Linux's")
def test_sides_that_change_places_acknowledge_by_what_they_say() -> None:
    async def script(one: End, other: End) -> None:
        first, second = one, other
        rounds, opening = 200, 40  # a young connection acknowledges at once
        for number in range(1, rounds + 1):
            if number == opening:
                before = one.bare_acknowledgements() + other.bare_acknowledgements()
            first.speak()
            for _ in range(5):
                await asyncio.sleep(0)  # it comes, and is read if it is
            second.speak()
            await asyncio.gather(first.until(number), second.until(number))
            first, second = second, first
        after = one.bare_acknowledgements() + other.bare_acknowledgements()
        assert after - before < 0.1 * 2 * (rounds - opening)

    play(script)
