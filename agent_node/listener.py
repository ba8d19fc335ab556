"""Serves the Peer service, and admits the peers of lower slots, who dial this node.  Imported by `peers.py`.

The service works on bytes, so that a malformed message is counted and refused by this code and does not end the
stream inside gRPC.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

import grpc
import grpc.aio

from agent_node.hello import HELLO_METADATA, METHOD, SERVICE, Hello, Member, hello_bytes, refusal
from agent_node.peer_stream import PeerStream
from agent_node.streams import TOO_MUCH, Streams
from heliograph.certificates.identity import Identity
from heliograph.errors import MessageError
from heliograph.refusals import Refusals
from heliograph.tls import Tls, peer_identity

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"

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

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the Peer service; call before the server starts."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._serve)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))

    def admit(self, roster: Mapping[int, Member], *, own: Hello | None) -> None:
        """Admit these members from now on, and answer as `own`; nobody if that is None."""
        self._roster, self._own = roster, own

    async def _serve(self, _messages: AsyncIterator[bytes], context: Context) -> None:
        """Serve one incoming stream: judge the hello, answer with our own, read until one side leaves."""
        hello, own = await self._judged(context)
        await context.send_initial_metadata(((HELLO_METADATA, own.serialise()),))
        stream = PeerStream(instance=hello.instance, write=context.write)
        with self._streams.attached(hello.slot, stream):
            reason = await self._streams.exchange(hello.slot, stream, context.read)
        if reason is not None and not self._streams.closing:
            await context.abort(grpc.StatusCode.ABORTED, reason)

    async def _judged(self, context: Context) -> tuple[Hello, Hello]:
        """The hello of a peer that may come in, and ours for it; ends the call of any other."""
        try:
            hello = Hello.parse(hello_bytes(context.invocation_metadata()))
        except MessageError as error:
            await self._refusals.refuse(context, error.grpc_status, str(error))
        if self._tls is not None and (certified := peer_identity(context)) != Identity(slot=hello.slot):
            _log.warning("peer refused slot=%d peer=%s certificate=%s", hello.slot, context.peer(), certified)
            sentence = f"certificate of {certified or 'nobody'} does not speak for slot {hello.slot}"
            await self._refusals.refuse(context, "PERMISSION_DENIED", sentence)
        own = self._own
        if own is None or self._streams.closing:
            await self._refusals.refuse(context, "UNAVAILABLE", "this node does not know its team yet, or leaves it")
        refused = refusal(hello, own=own, team_size=self._team_size, roster=self._roster)
        if refused is not None:
            _log.warning("peer refused slot=%d status=%s reason=%r", hello.slot, refused.status, refused.sentence)
            await self._refusals.refuse(context, refused.status, refused.sentence)
        if hello.slot > own.slot:
            sentence = f"slot {hello.slot} is dialled by slot {own.slot}, not the reverse"
            await self._refusals.refuse(context, "PERMISSION_DENIED", sentence)
        if self._streams.is_overdrawn(hello.slot):
            await self._refusals.refuse(context, "RESOURCE_EXHAUSTED", TOO_MUCH)
        return hello, own
