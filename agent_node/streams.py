"""The live streams of a node, one per peer, and what comes in over them.  Imported by `peers.py`, and by those who make
them, `dialler.py` and `listener.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from agent_node.allowance import MESSAGES_PER_STEP, Allowance
from agent_node.inbox import Inbox
from agent_node.peer_stream import PeerStream
from agent_node.transport.seam import CallEnded
from agent_node.wire import MessageWire
from heliograph.errors import MessageError

LAST_WRITES_TIMEOUT_S = 5.0
"""How long what is still to be written may take once the peer has half-closed its stream."""

TOO_MUCH = f"far more than {MESSAGES_PER_STEP} messages within one step of this node"

_log = logging.getLogger(__name__)


class Streams:
    """Streams by the slot of the peer.

    `on_change(slots)` is called with the slots whose stream is up, whenever these change.
    """

    def __init__(self, *, on_change: Callable[[tuple[int, ...]], None]) -> None:
        self.closing = False
        """This node leaves, and makes no stream any more."""
        self._on_change = on_change
        self.live: dict[int, PeerStream] = {}
        """Those that are up now, by the slot of the peer."""
        self.instances: dict[int, str] = {}
        """Which process of its slot each of these peers is."""
        self._allowance = Allowance()
        self._inbox: Inbox | None = None
        self._wire: MessageWire | None = None

    def deliver(self, *, inbox: Inbox, wire: MessageWire | None) -> None:
        """Where messages go from now on, and how they are written; `wire` is None in a team without messages."""
        self._inbox, self._wire = inbox, wire

    @property
    def connected(self) -> tuple[int, ...]:
        """The slots whose stream is up in both directions, ascending."""
        return tuple(sorted(self.live))

    def allow_more(self) -> None:
        """A step begins, for which every peer may say something again."""
        self._allowance.renew()

    def is_overdrawn(self, slot: int) -> bool:
        """Whether a peer does not stop within this step, although nothing that it says is read."""
        return self._allowance.is_overdrawn(slot)

    @contextmanager
    def attached(self, slot: int, stream: PeerStream) -> Iterator[None]:
        """The stream is up; one with the same peer that was up before ends."""
        assert self._inbox is not None
        previous = self.live.get(slot)
        self.live[slot], self.instances[slot] = stream, stream.instance
        self._inbox.received_again(slot)
        _log.info("peer connected slot=%d instance=%s", slot, stream.instance)
        if previous is None:
            self._on_change(self.connected)
        else:
            previous.end("replaced by a newer stream")
        try:
            yield
        finally:
            self.detach(slot, stream)

    def detach(self, slot: int, stream: PeerStream) -> None:
        """The stream is over; nothing more is written to it.  The second time nothing happens."""
        assert self._inbox is not None
        stream.call.abandon()
        if self.live.get(slot) is stream:
            del self.live[slot], self.instances[slot]
            self._inbox.give_up(slot)
            _log.info("peer disconnected slot=%d", slot)
            self._on_change(self.connected)

    async def exchange(self, slot: int, stream: PeerStream) -> str | None:
        """Take what the peer says until it has said all (None) or the stream is ended here (why); then write what is
        left, unless it was ended.  Raises CallEnded if the stream breaks.
        """
        try:
            reason = await stream.read_until_ended(stream.call.receive(partial(self._receive, slot, stream)))
        except CallEnded as lost:
            _log.info("peer lost slot=%d cause=%s %s", slot, lost.grpc_status, lost.message)
            raise
        await stream.call.flush(timeout_s=LAST_WRITES_TIMEOUT_S if reason is None else 0)
        return reason

    def _receive(self, slot: int, stream: PeerStream, data: bytes) -> None:
        assert self._inbox is not None
        if not self._allowance.take(slot):
            self._inbox.reject(slot)
            if self._allowance.is_overdrawn(slot) and not stream.ended.done():
                _log.warning("peer says too much slot=%d", slot)
                stream.end(TOO_MUCH)
            return
        wire, before = self._wire, stream.received
        try:
            if wire is None:
                raise MessageError("this team does not exchange messages")
            message = wire.parse(data, before, sender=slot)
        except MessageError as error:
            _log.debug("message rejected slot=%d reason=%r", slot, str(error))
            self._inbox.reject(slot)
            return
        stream.received = message
        self._inbox.receive(slot, message, size_bytes=len(data), latent_bits=wire.latent_bits(message, before))
        if stream.is_even_with(message) and not self._inbox.awaits(slot):
            stream.call.rest()
