"""The peers of a node: one bidirectional stream per pair, dialled by the lower slot.  Imported by `node.py`.

The roster decides who they are; `dialler.py` and `listener.py` make the streams, `streams.py` reads them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from agent_node.dialler import Dialler
from agent_node.hello import Hello, Member
from agent_node.inbox import Inbox
from agent_node.listener import Listener
from agent_node.streams import Streams
from agent_node.transport.seam import PeerServer, Transport
from agent_node.wire import MessageWire, Outgoing, Written
from heliograph.refusals import Refusals
from heliograph.tls import Tls


class Peers:
    """Streams with the other nodes of the team, as the roster names them.

    `on_change(slots)` is called with the slots whose stream is up, whenever these change.
    Nobody is dialled or admitted before `introduce`.  With `tls` a peer speaks for the slot of its certificate alone.
    """

    def __init__(
        self,
        *,
        slot: int,
        team_size: int,
        transport: Transport,
        on_change: Callable[[tuple[int, ...]], None],
        tls: Tls | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._slot = slot
        self._streams = Streams(on_change=on_change)
        self._dialler = Dialler(self._streams, team_size=team_size, transport=transport, tls=tls)
        self._listener = Listener(
            self._streams, team_size=team_size, tls=tls, refusals=Refusals() if refusals is None else refusals
        )
        self._own: Hello | None = None
        self._inbox: Inbox | None = None
        self._roster: dict[int, Member] = {}

    def add_to(self, server: PeerServer) -> None:
        """Serve the Peer service; call before the server starts."""
        server.serve(self._listener.serve)

    def introduce(self, own: Hello, *, inbox: Inbox, wire: MessageWire | None) -> None:
        """Say who this node is, how messages are written and where they go; from now on peers are dialled and admitted.

        `wire` is None in a team without messages.
        """
        self._own, self._inbox = own, inbox
        self._streams.deliver(inbox=inbox, wire=wire)
        self.update_roster(self._roster.values())

    def reintroduce(self, own: Hello, *, wire: MessageWire | None, members: Iterable[Member]) -> None:
        """Say who this node is from now on, to a team that changes with it: every stream is made again."""
        assert self._inbox is not None
        for slot, stream in list(self._streams.live.items()):
            # At once, so that nobody is told of a stream of before together with one of now.
            self._streams.detach(slot, stream)
            stream.end("this node goes on with another bundle")
        self._dialler.keep({}, own=None)
        self._own = own
        self._streams.deliver(inbox=self._inbox, wire=wire)
        self.update_roster(members)

    def update_roster(self, members: Iterable[Member]) -> None:
        """Replace the roster: end streams of those who left or restarted, dial new members of higher slots."""
        self._roster = {member.slot: member for member in members if member.slot != self._slot}
        for slot, stream in list(self._streams.live.items()):
            member = self._roster.get(slot)
            if member is None or member.instance not in ("", stream.instance):
                stream.end("the roster names another instance" if member else "the roster no longer names the slot")
        self._listener.admit(self._roster, own=self._own)
        self._dialler.keep(self._roster, own=self._own)

    @property
    def connected(self) -> tuple[int, ...]:
        """The slots whose stream is up in both directions, ascending."""
        return self._streams.connected

    @property
    def instances(self) -> Mapping[int, str]:
        """Which process of its slot each peer is whose stream is up now."""
        return self._streams.instances

    def send(self, slot: int, message: Outgoing) -> Written | None:
        """Hand a message to a peer's stream and return at once; None if there is none that keeps up."""
        stream = self._streams.live.get(slot)
        return None if stream is None else stream.send(message)

    def attend(self, slots: Iterable[int]) -> None:
        """What these peers say is waited for."""
        for slot in slots:
            if (stream := self._streams.live.get(slot)) is not None:
                stream.call.attend()

    def allow_more(self) -> None:
        """A step begins, for which every peer may say something again."""
        self._streams.allow_more()

    async def flush(self, *, timeout_s: float) -> None:
        """Wait until what was sent so far is written, at most `timeout_s`, and what has come so far is read."""
        await asyncio.gather(*(stream.call.flush(timeout_s=timeout_s) for stream in self._streams.live.values()))

    async def close(self, *, timeout_s: float) -> None:
        """Write what is outstanding and half-close every stream, at most `timeout_s` for each of the two."""
        self._streams.closing = True
        await self.flush(timeout_s=timeout_s)
        for stream in list(self._streams.live.values()):
            stream.end("this node leaves")
        await self._dialler.close(timeout_s=timeout_s)
