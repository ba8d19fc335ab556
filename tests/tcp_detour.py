"""A small TCP proxy in front of one address: delays, severs, freezes and heals a single link between two processes."""

from __future__ import annotations

import asyncio
import random
from types import TracebackType


class TcpDetour:
    """Forwards connections to `target` (host:port, set once it is known); a context manager that listens at `address`.

    Each chunk is held for a random time up to `delay_s`, in order.  While severed, connections are cut and refused;
    while frozen they stay, and nothing passes: neither end is told.
    """

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.target = ""
        self._delay_s = delay_s
        self._random = random.Random(0)
        self._severed = False
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    async def __aenter__(self) -> TcpDetour:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.heal()
        self.sever()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def sever(self) -> None:
        self._severed = True
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        self._thawed.clear()

    def heal(self) -> None:
        self._severed = False
        self._thawed.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._severed or not self.target:
            writer.transport.abort()
            return
        try:
            await self._thawed.wait()
            host, _, port = self.target.rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._forward(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._thawed.wait()
                if self._delay_s:
                    await asyncio.sleep(self._random.uniform(0.0, self._delay_s))
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.transport.abort()
            self._writers.discard(sink)
