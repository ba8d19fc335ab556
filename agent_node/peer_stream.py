"""One live stream with one peer, dialled or accepted.  Imported by `streams.py`, `dialler.py` and `listener.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from agent_node.message import Label, Message
from agent_node.transport.seam import Call
from agent_node.wire import Outgoing, Written


class PeerStream:
    """A call of the transport, what went over it last, and a way to end it from outside.

    `end` resolves `ended`; whoever reads the stream waits on that too and then leaves.
    """

    def __init__(self, *, instance: str, call: Call) -> None:
        self.instance = instance
        self.call = call
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.received: Message | None = None
        """The peer's newest message; one that says what changed is read by it."""
        self._sent: Label | None = None

    def send(self, message: Outgoing) -> Written | None:
        """Hand over a message and return at once; None if the stream is broken or does not keep up."""
        written = message.written(self._sent)
        if not self.call.send(written.data):
            return None
        self._sent = message.message.label
        return written

    def is_even_with(self, message: Message) -> bool:
        """Whether the peer's message is of the step at which this side spoke last."""
        return message.label == self._sent

    def end(self, reason: str) -> None:
        """Ask the reader to leave, once."""
        if not self.ended.done():
            self.ended.set_result(reason)

    async def read_until_ended(self, read_all: Awaitable[None]) -> str | None:
        """Run the read loop until the peer leaves (returns None) or `end` is called (returns its reason).

        Raises what the read loop raises.
        """
        reading = asyncio.ensure_future(read_all)
        either: set[asyncio.Future[Any]] = {reading, self.ended}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                return None
            return self.ended.result()
        finally:
            if not reading.done():
                # This cancels the call as well, which is over for us in any case.
                reading.cancel()
                await asyncio.wait({reading})
            if not reading.cancelled():
                reading.exception()
