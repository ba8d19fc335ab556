"""A stream's writer: in order, never more than one write at a time, and honest about what it cannot take."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from agent_node.stream_writer import StreamWriter

DEADLINE_S = 20.0


class Wire:
    """Writes when it is let."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.open = asyncio.Event()
        self.error: BaseException | None = None
        self.busy = False

    async def write(self, payload: int) -> None:
        assert not self.busy
        self.busy = True
        await self.open.wait()
        self.busy = False
        if self.error is not None:
            raise self.error
        self.written.append(payload)


def test_what_does_not_fit_is_refused_and_the_rest_is_written_in_order() -> None:
    async def script() -> None:
        wire = Wire()
        writer = StreamWriter(wire.write, limit=3)
        assert [writer.send(number) for number in range(5)] == [True, True, True, False, False]
        assert not await writer.flush(timeout_s=0.0)
        assert wire.written == []
        wire.open.set()
        assert await writer.flush(timeout_s=DEADLINE_S)
        assert wire.written == [0, 1, 2]
        assert writer.send(5), "there is room again"
        assert await writer.flush(timeout_s=DEADLINE_S)
        assert wire.written == [0, 1, 2, 5]

    asyncio.run(script())


@pytest.mark.parametrize("error", [grpc.RpcError(), asyncio.InvalidStateError()], ids=repr)
def test_a_broken_stream_takes_nothing_more(error: BaseException) -> None:
    async def script() -> None:
        wire = Wire()
        writer = StreamWriter(wire.write, limit=3)
        assert writer.send(0)
        assert writer.send(1)
        wire.error = error
        wire.open.set()
        assert not await writer.flush(timeout_s=DEADLINE_S)
        assert not writer.send(2)
        assert wire.written == []

    asyncio.run(script())


def test_what_is_abandoned_is_forgotten() -> None:
    async def script() -> None:
        wire = Wire()
        writer = StreamWriter(wire.write, limit=3)
        assert writer.send(0)
        writer.abandon()
        assert not writer.send(1)
        wire.open.set()
        assert not await writer.flush(timeout_s=DEADLINE_S)
        assert wire.written == []

    asyncio.run(script())
