"""Dials the peers of higher slots, and dials them again when their stream ends.  Imported by `peers.py`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping

from agent_node.hello import Hello, Member, refusal
from agent_node.peer_stream import PeerStream
from agent_node.streams import Streams
from agent_node.transport.seam import CallEnded, DialledCall, Line, Transport
from heliograph.certificates.identity import Identity
from heliograph.errors import MessageError, PeerRefused
from heliograph.tls import Tls

HANDSHAKE_TIMEOUT_S = 5.0
"""A peer that accepts the connection and does not answer the hello for so long is dialled anew."""

FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
"""Pause before dialling again: doubled with every failure up to the last, times 0.5..1.5 so that a team that lost one
of its nodes does not dial it in step."""

_log = logging.getLogger(__name__)


class Dialler:
    """Keeps a stream with every member of a higher slot.  With `tls` that must have the certificate of its slot."""

    def __init__(self, streams: Streams, *, team_size: int, transport: Transport, tls: Tls | None) -> None:
        self._streams = streams
        self._team_size = team_size
        self._transport = transport
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
        line = self._transport.line(member.peer_address, tls=self._tls, peer=Identity(slot=member.slot))
        failures = 0
        try:
            while not self._streams.closing:
                try:
                    await self._converse(line, member, own)
                    failures = 0
                except (CallEnded, PeerRefused, MessageError, TimeoutError) as error:
                    failures += 1
                    level = logging.WARNING if failures == _telling_failure(error) else logging.DEBUG
                    cause = self._cause(error)
                    _log.log(level, "dialling failed slot=%d times=%d error=%s", member.slot, failures, cause)
                if not self._streams.closing:
                    await asyncio.sleep(retry_pause_s(failures))
        finally:
            await line.close()

    async def _converse(self, line: Line, member: Member, own: Hello) -> None:
        """One stream from hello to end.  Raises if it never came up."""
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            call = await line.call(own.serialise())
        try:
            hello = await self._answer(call, member)
            self._check_answer(hello, member, own)
            stream = PeerStream(instance=hello.instance, call=call)
            # One that came up is no failure, however it ends.
            with contextlib.suppress(CallEnded), self._streams.attached(member.slot, stream):
                await self._streams.exchange(member.slot, stream)
                await call.half_close()
        finally:
            call.cancel()

    async def _answer(self, call: DialledCall, member: Member) -> Hello:
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                return Hello.parse(await call.answer())
        except PeerRefused as refused:
            raise PeerRefused(f"slot {member.slot} refused: {refused.message}") from None

    def _cause(self, error: BaseException) -> str:
        """What is known of a failure, and what the transport cannot say, that our own certificate has expired."""
        said = f"{error.grpc_status} {error.message}" if isinstance(error, CallEnded) else str(error)
        trouble = "" if self._tls is None else self._tls.trouble()
        return "; ".join(part for part in (said or type(error).__name__, trouble) if part)

    def _check_answer(self, hello: Hello, member: Member, own: Hello) -> None:
        refused = refusal(hello, own=own, team_size=self._team_size, roster={member.slot: member})
        if hello.slot != member.slot or refused is not None:
            sentence = f"it is slot {hello.slot}" if refused is None else refused.sentence
            raise PeerRefused(f"{member.peer_address} is not slot {member.slot} of this team: {sentence}")


def _telling_failure(error: BaseException) -> int:
    """Which failure in a row to tell of at any level of the log.

    Who is not there, or has not yet heard of its team, mostly is a moment later.
    """
    return 1 if isinstance(error, PeerRefused) else 3


def retry_pause_s(failures: int) -> float:
    """How long to wait before dialling again, after so many failures in a row."""
    return min(LAST_RETRY_S, FIRST_RETRY_S * (1 << min(failures, 16))) * random.uniform(0.5, 1.5)
