"""Admits the peers of lower slots, who dial this node.  Imported by `peers.py`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NoReturn

from agent_node.hello import Hello, Member, refusal
from agent_node.peer_stream import PeerStream
from agent_node.streams import TOO_MUCH, Streams
from agent_node.transport.seam import AcceptedCall, CallEnded
from heliograph.certificates.identity import Identity
from heliograph.errors import MessageError
from heliograph.refusals import Refusals
from heliograph.tls import Tls

_log = logging.getLogger(__name__)


class Listener:
    """Admits nobody before `admit`.  With `tls` a peer speaks for the slot of its certificate alone."""

    def __init__(self, streams: Streams, *, team_size: int, tls: Tls | None, refusals: Refusals) -> None:
        self._streams = streams
        self._team_size = team_size
        self._tls = tls
        self._refusals = refusals
        self._own: Hello | None = None
        self._roster: Mapping[int, Member] = {}

    def admit(self, roster: Mapping[int, Member], *, own: Hello | None) -> None:
        """Admit these members from now on, and answer as `own`; nobody if that is None."""
        self._roster, self._own = roster, own

    async def serve(self, call: AcceptedCall) -> None:
        """Serve one incoming stream: judge the hello, answer with our own, read until one side leaves."""
        hello, own = self._judged(call)
        await call.accept(own.serialise())
        stream = PeerStream(instance=hello.instance, call=call)
        with self._streams.attached(hello.slot, stream):
            reason = await self._streams.exchange(hello.slot, stream)
        if reason is not None and not self._streams.closing:
            raise CallEnded("ABORTED", reason)

    def _judged(self, call: AcceptedCall) -> tuple[Hello, Hello]:
        """The hello of a peer that may come in, and ours for it; ends the call of any other."""
        try:
            hello = Hello.parse(call.hello)
        except MessageError as error:
            self._refuse(error.grpc_status, str(error))
        if self._tls is not None and call.identity != Identity(slot=hello.slot):
            _log.warning("peer refused slot=%d peer=%s certificate=%s", hello.slot, call.peer, call.identity)
            sentence = f"certificate of {call.identity or 'nobody'} does not speak for slot {hello.slot}"
            self._refuse("PERMISSION_DENIED", sentence)
        own = self._own
        if own is None or self._streams.closing:
            self._refuse("UNAVAILABLE", "this node does not know its team yet, or leaves it")
        refused = refusal(hello, own=own, team_size=self._team_size, roster=self._roster)
        if refused is not None:
            # One that may come in soon, when the roster that names it is here, is no reason to worry.
            level = logging.INFO if refused.status == "UNAVAILABLE" else logging.WARNING
            _log.log(level, "peer refused slot=%d status=%s reason=%r", hello.slot, refused.status, refused.sentence)
            self._refuse(refused.status, refused.sentence)
        if hello.slot > own.slot:
            self._refuse("PERMISSION_DENIED", f"slot {hello.slot} is dialled by slot {own.slot}, not the reverse")
        if self._streams.is_overdrawn(hello.slot):
            self._refuse("RESOURCE_EXHAUSTED", TOO_MUCH)
        return hello, own

    def _refuse(self, status: str, sentence: str) -> NoReturn:
        self._refusals.count(status)
        raise CallEnded(status, sentence)
