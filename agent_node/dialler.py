"""Dials the peers of higher slots, and dials them again when their stream ends.  Imported by `peers.py`."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import TypeAlias

import grpc.aio

from agent_node.hello import EXCHANGE, HELLO_METADATA, Hello, Member, hello_bytes, refusal
from agent_node.peer_stream import PeerStream
from agent_node.streams import Streams
from heliograph import rpc
from heliograph.certificates.identity import Identity
from heliograph.errors import MessageError, PeerRefused
from heliograph.renewed_channel import RenewedChannel
from heliograph.tls import Tls

HANDSHAKE_TIMEOUT_S = 5.0
"""A peer that accepts the connection and does not answer the hello for so long is dialled anew."""

FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
"""Pause before dialling again: doubled with every failure up to the last, times 0.5..1.5 so that a team that lost one
of its nodes does not dial it in step."""

Exchange: TypeAlias = "grpc.aio.StreamStreamMultiCallable[bytes, bytes]"

_log = logging.getLogger(__name__)


class Dialler:
    """Keeps a stream with every member of a higher slot.  With `tls` that must have the certificate of its slot."""

    def __init__(self, streams: Streams, *, team_size: int, tls: Tls | None) -> None:
        self._streams = streams
        self._team_size = team_size
        self._tls = tls
        self._dialled: dict[int, tuple[Member, asyncio.Task[None]]] = {}

    def keep(self, roster: Mapping[int, Member], *, own: Hello | None) -> None:
        """Leave those alone who left or changed, and dial new members as `own` says; nobody if that is None."""
        for slot, (member, task) in list(self._dialled.items()):
            if roster.get(slot) != member:
                task.cancel()
                del self._dialled[slot]
        if own is None or self._streams.closing:
            return
        for slot, member in roster.items():
            if slot > own.slot and slot not in self._dialled:
                task = asyncio.get_running_loop().create_task(self._dial(member, own))
                self._dialled[slot] = member, task

    async def close(self, *, timeout_s: float) -> None:
        """Wait until the streams, which must have been ended, are over; cut off what takes longer."""
        tasks = [task for _, task in self._dialled.values()]
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=timeout_s)
            for task in stuck:
                task.cancel()
            if stuck:
                await asyncio.wait(stuck, timeout=timeout_s)

    async def _dial(self, member: Member, own: Hello) -> None:
        """Keep a stream with one member, until the roster says otherwise or this node leaves."""
        channel = RenewedChannel(
            member.peer_address,
            max_message_bytes=rpc.MAX_PEER_BYTES,
            tls=self._tls,
            peer=Identity(slot=member.slot),
        )
        failures = 0
        try:
            while not self._streams.closing:
                try:
                    await self._converse((await channel.newest()).stream_stream(EXCHANGE), member, own)
                    failures = 0
                except (grpc.aio.AioRpcError, PeerRefused, MessageError, TimeoutError) as error:
                    failures += 1
                    level = logging.WARNING if failures == 1 and isinstance(error, PeerRefused) else logging.DEBUG
                    cause = channel.cause(error)
                    _log.log(level, "dialling failed slot=%d times=%d error=%s", member.slot, failures, cause)
                if not self._streams.closing:
                    await asyncio.sleep(retry_pause_s(failures))
        finally:
            await channel.close()

    async def _converse(self, exchange: Exchange, member: Member, own: Hello) -> None:
        """One stream from hello to end.  Raises if it never came up."""
        call = exchange(metadata=((HELLO_METADATA, own.serialise()),))
        try:
            answer = hello_bytes(await asyncio.wait_for(call.initial_metadata(), HANDSHAKE_TIMEOUT_S))
            if not answer:
                raise PeerRefused(f"slot {member.slot} refused: {await call.code()}: {await call.details()}")
            hello = Hello.parse(answer)
            self._check_answer(hello, member, own)
            stream = PeerStream(instance=hello.instance, write=call.write)
            with self._streams.attached(member.slot, stream):
                try:
                    await self._streams.exchange(member.slot, stream, call.read)
                    await call.done_writing()
                except grpc.aio.AioRpcError as error:
                    _log.info("peer lost slot=%d cause=%s %s", member.slot, error.code().name, error.details())
        finally:
            call.cancel()

    def _check_answer(self, hello: Hello, member: Member, own: Hello) -> None:
        refused = refusal(hello, own=own, team_size=self._team_size, roster={member.slot: member})
        if hello.slot != member.slot or refused is not None:
            sentence = f"it is slot {hello.slot}" if refused is None else refused.sentence
            raise PeerRefused(f"{member.peer_address} is not slot {member.slot} of this team: {sentence}")


def retry_pause_s(failures: int) -> float:
    """How long to wait before dialling again, after so many failures in a row."""
    return min(LAST_RETRY_S, FIRST_RETRY_S * (1 << min(failures, 16))) * random.uniform(0.5, 1.5)
