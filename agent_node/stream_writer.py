"""Writes on one gRPC stream: started without being awaited, at most one outstanding.  Imported by the node's streams.

A second write on a stream before the first has ended fails, and a timeout around one cancels the stream; so writes
run in a task of their own and a bounded queue stands before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import grpc
import grpc.aio

Payload = TypeVar("Payload")

_log = logging.getLogger(__name__)


class StreamWriter(Generic[Payload]):
    """Sends payloads in order through `write`; holds at most `limit` that are not written yet."""

    def __init__(self, write: Callable[[Payload], Awaitable[None]], *, limit: int) -> None:
        self._write = write
        self._limit = limit
        self._queue: deque[Payload] = deque()
        self._task: asyncio.Task[None] | None = None
        self._broken = False

    def send(self, payload: Payload) -> bool:
        """Hand over a payload and return at once; False if the stream is broken or does not keep up."""
        if self._broken or len(self._queue) >= self._limit:
            return False
        self._queue.append(payload)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())
        return True

    async def flush(self, *, timeout_s: float) -> bool:
        """Wait until all is written, `timeout_s` at most, without disturbing the stream; whether it was."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=timeout_s)
        return not self._queue and not self._broken

    def abandon(self) -> None:
        """The stream is over: forget what is not written."""
        self._broken = True
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    async def _drain(self) -> None:
        while self._queue and not self._broken:
            try:
                await self._write(self._queue[0])
            except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError, asyncio.CancelledError) as error:
                # The reader of the same stream sees why it ended; here it only means that nothing more can be sent.
                _log.debug("write failed error=%r", error)
                self._broken = True
                self._queue.clear()
                return
            if self._queue:
                self._queue.popleft()
