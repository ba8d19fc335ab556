"""The peers of a node: one bidirectional stream per pair, dialled by the lower slot.  Imported by `node.py`.

The service works on bytes, so that a malformed message is counted and refused by this code and does not end the
stream inside gRPC.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable

import grpc
import grpc.aio

from agent_node.allowance import MESSAGES_PER_STEP, Allowance
from agent_node.hello import HELLO_METADATA, Hello, Member, refusal
from agent_node.inbox import Inbox
from agent_node.peer_stream import PeerStream
from agent_node.wire import MessageWire, Outgoing, Written
from heliograph import rpc
from heliograph.certificates.identity import Identity
from heliograph.errors import MessageError, PeerRefused
from heliograph.refusals import Refusals
from heliograph.renewed_channel import RenewedChannel
from heliograph.tls import Tls, peer_identity

SERVICE = "heliograph.v1.Peer"
METHOD = "Exchange"

HANDSHAKE_TIMEOUT_S = 5.0
"""A peer that accepts the connection and does not answer the hello for so long is dialled anew."""

FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
"""Pause before dialling again: doubled with every failure up to the last, times 0.5..1.5 so that a team that lost one
of its nodes does not dial it in step."""

_TOO_MUCH = f"far more than {MESSAGES_PER_STEP} messages within one step of this node"

_log = logging.getLogger(__name__)


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
        on_change: Callable[[tuple[int, ...]], None],
        tls: Tls | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._slot = slot
        self._team_size = team_size
        self._wire: MessageWire | None = None
        self._on_change = on_change
        self._tls = tls
        self._allowance = Allowance()
        self._own: Hello | None = None
        self._inbox: Inbox | None = None
        self._roster: dict[int, Member] = {}
        self._streams: dict[int, PeerStream] = {}
        self._dialling: dict[int, asyncio.Task[None]] = {}
        self._closing = False
        self._refusals = Refusals() if refusals is None else refusals

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the Peer service; call before the server starts."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._accept)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))

    def introduce(self, own: Hello, *, inbox: Inbox, wire: MessageWire | None) -> None:
        """Say who this node is, how messages are written and where they go; from now on peers are dialled and admitted.

        `wire` is None in a team without messages.
        """
        self._own, self._inbox, self._wire = own, inbox, wire
        self.update_roster(self._roster.values())

    def reintroduce(self, own: Hello, *, wire: MessageWire | None, members: Iterable[Member]) -> None:
        """Say who this node is from now on, to a team that changes with it: every stream is made again."""
        for slot, stream in list(self._streams.items()):
            # At once, so that nobody is told of a stream of before together with one of now.
            self._detach(slot, stream)
            stream.end("this node goes on with another bundle")
        for task in self._dialling.values():
            task.cancel()
        self._dialling.clear()
        self._own, self._wire = own, wire
        self.update_roster(members)

    def update_roster(self, members: Iterable[Member]) -> None:
        """Replace the roster: end streams of those who left or restarted, dial new members of higher slots."""
        before, self._roster = self._roster, {member.slot: member for member in members if member.slot != self._slot}
        for slot, stream in list(self._streams.items()):
            member = self._roster.get(slot)
            if member is None or member.instance not in ("", stream.instance):
                stream.end("the roster names another instance" if member else "the roster no longer names the slot")
        for slot, task in list(self._dialling.items()):
            if self._roster.get(slot) != before.get(slot):
                task.cancel()
                del self._dialling[slot]
        if self._own is None or self._closing:
            return
        for slot, member in self._roster.items():
            if slot > self._slot and slot not in self._dialling:
                self._dialling[slot] = asyncio.get_running_loop().create_task(self._dial(member))

    @property
    def connected(self) -> tuple[int, ...]:
        """The slots whose stream is up in both directions, ascending."""
        return tuple(sorted(self._streams))

    def is_up(self, slot: int) -> bool:
        return slot in self._streams

    def send(self, slot: int, message: Outgoing) -> Written | None:
        """Hand a message to a peer's stream and return at once; None if there is none that keeps up."""
        stream = self._streams.get(slot)
        return None if stream is None else stream.send(message)

    def allow_more(self) -> None:
        """A step begins, for which every peer may say something again."""
        self._allowance.renew()

    async def flush(self, *, timeout_s: float) -> None:
        """Wait until what was sent so far is written, at most `timeout_s`."""
        flushes = [stream.writer.flush(timeout_s=timeout_s) for stream in self._streams.values()]
        await asyncio.gather(*flushes)

    async def close(self, *, timeout_s: float) -> None:
        """Write what is outstanding and half-close every stream, at most `timeout_s` for each of the two."""
        self._closing = True
        await self.flush(timeout_s=timeout_s)
        for stream in self._streams.values():
            stream.end("this node leaves")
        tasks = list(self._dialling.values())
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=timeout_s)
            for task in stuck:
                task.cancel()
            if stuck:
                await asyncio.wait(stuck, timeout=timeout_s)

    async def _accept(self, _messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Serve one incoming stream: judge the hello, answer with our own, read until one side leaves."""
        try:
            hello = Hello.parse(_hello_bytes(context.invocation_metadata()))
        except MessageError as error:
            await self._refusals.refuse(context, error.grpc_status, str(error))
        if self._tls is not None and (certified := peer_identity(context)) != Identity(slot=hello.slot):
            _log.warning("peer refused slot=%d peer=%s certificate=%s", hello.slot, context.peer(), certified)
            sentence = f"certificate of {certified or 'nobody'} does not speak for slot {hello.slot}"
            await self._refusals.refuse(context, "PERMISSION_DENIED", sentence)
        if self._own is None or self._closing:
            await self._refusals.refuse(context, "UNAVAILABLE", "this node does not know its team yet, or leaves it")
        assert self._own is not None
        refused = refusal(hello, own=self._own, team_size=self._team_size, roster=self._roster)
        if refused is not None:
            _log.warning("peer refused slot=%d status=%s reason=%r", hello.slot, refused.status, refused.sentence)
            await self._refusals.refuse(context, refused.status, refused.sentence)
        if hello.slot > self._slot:
            sentence = f"slot {hello.slot} is dialled by slot {self._slot}, not the reverse"
            await self._refusals.refuse(context, "PERMISSION_DENIED", sentence)
        if self._allowance.is_overdrawn(hello.slot):
            await self._refusals.refuse(context, "RESOURCE_EXHAUSTED", _TOO_MUCH)
        await context.send_initial_metadata(((HELLO_METADATA, self._own.serialise()),))
        stream = PeerStream(instance=hello.instance, write=context.write)
        self._attach(hello.slot, stream)
        try:
            reason = await stream.read_until_ended(self._read_accepted(hello.slot, stream, context))
            await stream.writer.flush(timeout_s=HANDSHAKE_TIMEOUT_S if reason is None else 0)
        finally:
            self._detach(hello.slot, stream)
        if reason is not None and not self._closing:
            await context.abort(grpc.StatusCode.ABORTED, reason)

    async def _read_accepted(
        self, slot: int, stream: PeerStream, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        # Cheaper than the iterator of requests, which is a generator around the same read.
        while isinstance(data := await context.read(), bytes):
            self._receive(slot, stream, data)

    async def _dial(self, member: Member) -> None:
        """Keep a stream with a higher slot, until the roster says otherwise or this node leaves."""
        channel = RenewedChannel(
            member.peer_address,
            max_message_bytes=rpc.MAX_PEER_BYTES,
            tls=self._tls,
            peer=Identity(slot=member.slot),
        )
        failures = 0
        try:
            while not self._closing:
                try:
                    await self._converse((await channel.newest()).stream_stream(f"/{SERVICE}/{METHOD}"), member)
                    failures = 0
                except (grpc.aio.AioRpcError, PeerRefused, MessageError, TimeoutError) as error:
                    failures += 1
                    level = logging.WARNING if failures == 1 and isinstance(error, PeerRefused) else logging.DEBUG
                    cause = channel.cause(error)
                    _log.log(level, "dialling failed slot=%d times=%d error=%s", member.slot, failures, cause)
                if not self._closing:
                    await asyncio.sleep(retry_pause_s(failures))
        finally:
            await channel.close()

    async def _converse(self, exchange: grpc.aio.StreamStreamMultiCallable[bytes, bytes], member: Member) -> None:
        """One outgoing stream from hello to end.  Raises if it never came up."""
        assert self._own is not None
        call = exchange(metadata=((HELLO_METADATA, self._own.serialise()),))
        try:
            metadata = await asyncio.wait_for(call.initial_metadata(), HANDSHAKE_TIMEOUT_S)
            answer = _hello_bytes(metadata)
            if not answer:
                raise PeerRefused(f"slot {member.slot} refused: {await call.code()}: {await call.details()}")
            self._check_answer(Hello.parse(answer), member)
            stream = PeerStream(instance=Hello.parse(answer).instance, write=call.write)
            self._attach(member.slot, stream)
            try:
                reason = await stream.read_until_ended(self._read_dialled(member.slot, stream, call))
                await stream.writer.flush(timeout_s=HANDSHAKE_TIMEOUT_S if reason is None else 0)
                await call.done_writing()
            except grpc.aio.AioRpcError as error:
                _log.info("peer lost slot=%d cause=%s %s", member.slot, error.code().name, error.details())
            finally:
                self._detach(member.slot, stream)
        finally:
            call.cancel()

    async def _read_dialled(self, slot: int, stream: PeerStream, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        while isinstance(data := await call.read(), bytes):
            self._receive(slot, stream, data)

    def _check_answer(self, hello: Hello, member: Member) -> None:
        assert self._own is not None
        refused = refusal(hello, own=self._own, team_size=self._team_size, roster={member.slot: member})
        if hello.slot != member.slot or refused is not None:
            sentence = f"it is slot {hello.slot}" if refused is None else refused.sentence
            raise PeerRefused(f"{member.peer_address} is not slot {member.slot} of this team: {sentence}")

    def _receive(self, slot: int, stream: PeerStream, data: bytes) -> None:
        assert self._inbox is not None
        if not self._allowance.take(slot):
            self._inbox.reject(slot)
            if self._allowance.is_overdrawn(slot) and not stream.ended.done():
                _log.warning("peer says too much slot=%d", slot)
                stream.end(_TOO_MUCH)
            return
        try:
            if self._wire is None:
                raise MessageError("this team does not exchange messages")
            message = self._wire.parse(data, stream.received)
        except MessageError as error:
            _log.debug("message rejected slot=%d reason=%r", slot, str(error))
            self._inbox.reject(slot)
            return
        latent_bits = self._wire.latent_bits(message, stream.received)
        stream.received = message
        self._inbox.receive(slot, message, size_bytes=len(data), latent_bits=latent_bits)

    def _attach(self, slot: int, stream: PeerStream) -> None:
        assert self._inbox is not None
        previous = self._streams.get(slot)
        self._streams[slot] = stream
        self._inbox.heard_anew(slot)
        _log.info("peer connected slot=%d instance=%s", slot, stream.instance)
        if previous is None:
            self._on_change(self.connected)
        else:
            previous.end("replaced by a newer stream")

    def _detach(self, slot: int, stream: PeerStream) -> None:
        assert self._inbox is not None
        stream.writer.abandon()
        if self._streams.get(slot) is stream:
            del self._streams[slot]
            self._inbox.give_up(slot)
            _log.info("peer disconnected slot=%d", slot)
            self._on_change(self.connected)


def retry_pause_s(failures: int) -> float:
    """How long to wait before dialling again, after so many failures in a row."""
    return min(LAST_RETRY_S, FIRST_RETRY_S * (1 << min(failures, 16))) * random.uniform(0.5, 1.5)


def _hello_bytes(metadata: Iterable[tuple[str, str | bytes]] | None) -> bytes:
    for key, value in metadata or ():
        if key == HELLO_METADATA and isinstance(value, bytes):
            return value
    return b""
