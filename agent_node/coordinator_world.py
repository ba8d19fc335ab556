"""The world behind a coordinator: fetches the bundle, joins, and turns its stream into percepts, rosters and counters.

Imported by `command.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import grpc
import grpc.aio

from agent_node.coordination_wire import Switch, act_of, counters_of, members_of, percept_of, switch_of, team_of
from agent_node.percept import Percept
from agent_node.stream_writer import StreamWriter
from agent_node.world import NodeHandle, StepReport, Team
from heliograph import bundle as bundles
from heliograph import rpc
from heliograph.actions import ActionSpace
from heliograph.bundle import MAX_BUNDLE_BYTES, Bundle
from heliograph.certificates.identity import COORDINATOR
from heliograph.codecs.bit_packed import BitPacked
from heliograph.errors import (
    BundleCorrupt,
    BundleMismatch,
    CoordinatorGone,
    HeliographError,
    NetworkError,
    PeerRefused,
    SettingsError,
    SlotTaken,
    WorldError,
)
from heliograph.pb import coordination_pb2, coordination_pb2_grpc
from heliograph.tls import Tls

QUEUED_MESSAGES = 64
"""Acts, changes of the peers, counters: the coordinator reads them all; more than this means that it does not."""

SLOT_GRACE_S, SLOT_PAUSE_S = 8.0, 0.5
"""How long to ask again for a slot that is taken: the keepalive ends a dead holder's session after six seconds."""

PREPARE_TIMEOUT_S = 30.0
"""How long fetching a newer bundle may take."""

LEAVE_TIMEOUT_S = 2.0
"""How long to wait for the coordinator's end of the session when this node leaves."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class CoordinatorWorld:
    """The session of one node with the coordinator at `address` (host:port).

    Connecting, fetching and joining together take at most `join_timeout_s`.  A coordinator that goes away during the
    session ends it with CoordinatorGone: at once if its process died, after the keepalive's six seconds if it hangs.
    With `tls` it must have the coordinator's certificate.

    `check` raises BundleError for a newer bundle that is not to be taken; None: the node keeps the one that it has.
    """

    def __init__(
        self,
        address: str,
        *,
        join_timeout_s: float,
        tls: Tls | None = None,
        check: Callable[[Bundle], None] | None = None,
    ) -> None:
        self._address = address
        self._join_by = time.monotonic() + join_timeout_s
        self._timeout_s = join_timeout_s
        self._channel = rpc.channel(address, max_message_bytes=rpc.MAX_CONTROL_BYTES, tls=tls, peer=COORDINATOR)
        self._stub = coordination_pb2_grpc.CoordinationStub(self._channel)
        self._codec: BitPacked | None = None  # of reported latents, if the coordinator wants them
        self._actions: ActionSpace | None = None  # of the node that entered
        self._call: grpc.aio.StreamStreamCall | None = None
        self._writer: StreamWriter[coordination_pb2.NodeMessage] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._check = check
        self._preparing: asyncio.Task[None] | None = None
        self._switch: Switch | None = None  # to be made before the next step
        self._node: NodeHandle | None = None
        self._pending: Percept | None = None
        self._failure: HeliographError | None = None
        self._over = False
        self._left = False
        self._news = asyncio.Event()

    @property
    def has_joined(self) -> bool:
        """It has been welcomed, whatever came of it since."""
        return self._reading is not None

    async def fetch_bundle(self, slot: int | None) -> Bundle:
        """Get the slot's bundle, or that of a slot without a live node, which is then kept for this one for a while.

        Raises BundleError, SettingsError if there is no such slot, SlotTaken if every slot is, or CoordinatorGone.
        """
        await self._connect()
        return await self._ask_again(lambda: self._fetch(slot, timeout_s=self._time_left_s()))

    async def _fetch(self, slot: int | None, *, timeout_s: float, wanted: str = "") -> Bundle:
        """The current bundle, or that of a `wanted` digest."""
        name = "any slot" if slot is None else f"slot {slot}"
        tar, digest = bytearray(), ""
        try:
            request = coordination_pb2.FetchBundleRequest(slot=slot or 0, any_slot=slot is None, digest=wanted)
            async for chunk in self._stub.FetchBundle(request, timeout=timeout_s):
                tar += chunk.data
                digest = chunk.digest
                if len(tar) > MAX_BUNDLE_BYTES:
                    raise BundleCorrupt(f"bundle of {name} is larger than {MAX_BUNDLE_BYTES // 2**20} MiB")
        except grpc.aio.AioRpcError as error:
            raise self._refusal(error) from None
        bundle = bundles.from_tar(bytes(tar), origin=f"bundle of {name} from {self._address}")
        if bundle.digest != digest or wanted not in ("", digest):
            announced = (wanted or digest)[:12]
            raise BundleCorrupt(f"bundle of {name} has digest {bundle.digest[:12]}, announced was {announced}")
        return bundle

    async def enter(self, node: NodeHandle) -> Team:
        """Join.  Raises BundleMismatch, SlotTaken, SettingsError or CoordinatorGone if that fails."""
        await self._connect()
        return await self._ask_again(lambda: self._join(node))

    async def _ask_again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, for a while again if what is asked for is taken: its holder may be gone, and that not be noticed yet."""
        give_up = min(self._join_by, time.monotonic() + SLOT_GRACE_S)
        while True:
            try:
                return await ask()
            except SlotTaken:
                if time.monotonic() + SLOT_PAUSE_S > give_up:
                    raise
                await asyncio.sleep(SLOT_PAUSE_S)

    async def _join(self, node: NodeHandle) -> Team:
        self._call = self._stub.Participate()
        self._writer = StreamWriter(self._call.write, limit=QUEUED_MESSAGES)
        join = coordination_pb2.Join(
            protocol_version=rpc.PROTOCOL_VERSION,
            slot=node.slot,
            instance=node.instance,
            peer_address=node.peer_address,
            bundle_digest=node.bundle_digest,
        )
        self._writer.send(coordination_pb2.NodeMessage(join=join))
        try:
            # The session is given up if this times out, so a cancelled operation does no harm here.
            reply = await asyncio.wait_for(self._call.read(), self._time_left_s())
        except TimeoutError:
            raise self._gone(f"did not welcome slot {node.slot} within {self._timeout_s:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise self._refusal(error) from None
        if reply is grpc.aio.EOF or reply.WhichOneof("kind") != "welcome":
            raise self._gone(f"did not welcome slot {node.slot}")
        self._node = node
        team_size, message = node.manifest.team_size, node.manifest.message
        self._actions = node.manifest.actions
        if reply.welcome.team_size != team_size:
            raise BundleMismatch(
                f"bundle of slot {node.slot} is for a team of {team_size}, this team has {reply.welcome.team_size}"
            )
        team = team_of(reply.welcome)
        if reply.welcome.report_latents and message is not None:
            self._codec = message.codec
        self._reading = asyncio.get_running_loop().create_task(self._read(node))
        return team

    async def percept(self) -> Percept | None:
        while self._pending is None or self._switch is not None:
            if self._switch is not None and self._failure is None:
                await self._make_switch()
                continue
            if self._failure is not None:
                raise self._failure
            if self._over:
                return None
            self._news.clear()
            # Bounded by the keepalive: a dead or hung coordinator ends the read, which is news.
            await self._news.wait()
        percept, self._pending = self._pending, None
        return percept

    async def act(self, report: StepReport) -> None:
        assert self._actions is not None
        act = act_of(report, actions=self._actions, codec=self._codec)
        self._send(coordination_pb2.NodeMessage(act=act))

    def connected(self, slots: tuple[int, ...]) -> None:
        self._send(coordination_pb2.NodeMessage(connected=coordination_pb2.Connected(slots=slots)))

    async def leave(self) -> None:
        """Half-close the session and wait for its end, a bounded time; does nothing the second time."""
        if self._left:
            return
        self._left = True
        if self._call is not None and self._writer is not None and self._failure is None:
            await self._writer.flush(timeout_s=LEAVE_TIMEOUT_S)
            try:
                await self._call.done_writing()
            except (grpc.RpcError, asyncio.InvalidStateError) as error:
                _log.debug("session was over already error=%r", error)
            if self._reading is not None:
                await asyncio.wait({self._reading}, timeout=LEAVE_TIMEOUT_S)
        for task in (self._reading, self._answering, self._preparing):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
        if self._call is not None:
            self._call.cancel()
        await self._channel.close()

    async def _connect(self) -> None:
        _log.debug("connecting address=%s", self._address)
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._time_left_s())
        except TimeoutError:
            raise self._gone(f"cannot be reached within {self._timeout_s:g} s{await self._why_not()}") from None

    async def _why_not(self) -> str:
        """What stands in the way of a connection, as gRPC says it to a call; empty if nothing does any more."""
        try:
            await rpc.health_status(self._channel, timeout_s=LEAVE_TIMEOUT_S)
        except NetworkError as error:
            return f": {error}"
        return ""

    async def _read(self, node: NodeHandle) -> None:
        """Follow the coordinator's stream to its end, whatever that is."""
        assert self._call is not None
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                self._handle(message, node)
            if not self._over:
                self._failure = self._gone("ended the session")
        except grpc.aio.AioRpcError as error:
            self._failure = self._gone(f"is gone: {error.code().name} {error.details()}")
        except HeliographError as error:
            self._failure = error
        finally:
            self._news.set()

    def _handle(self, message: coordination_pb2.CoordinatorMessage, node: NodeHandle) -> None:
        kind = message.WhichOneof("kind")
        if kind == "percept":
            # Only the newest counts: a node that was stopped does not live through what it missed.
            self._pending = percept_of(message.percept)
            self._news.set()
        elif kind == "roster":
            members = members_of(message.roster)
            if self._switch is None:
                node.update_roster(members)
            else:
                self._switch = replace(self._switch, members=tuple(members))
        elif kind == "prepare":
            if self._preparing is not None:
                self._preparing.cancel()
            self._preparing = asyncio.get_running_loop().create_task(self._prepare(message.prepare.digest, node))
        elif kind == "switch":
            self._switch = switch_of(message.switch)
            self._news.set()
        elif kind == "counters_request":
            self._answering = asyncio.get_running_loop().create_task(self._answer_counters(node))
        elif kind == "shutdown":
            _log.info("shutdown reason=%r", message.shutdown.reason)
            self._over = True
            self._news.set()
        else:
            raise WorldError(f"coordinator {self._address} sent a message of unknown kind {kind!r}")

    async def _prepare(self, digest: str, node: NodeHandle) -> None:
        """Get and load the bundle of a digest beside the one that runs, and say whether that went well."""
        reason = ""
        try:
            if self._check is None:
                raise BundleMismatch("it was started with a bundle of its own, and fetches none")
            bundle = await self._fetch(node.slot, timeout_s=PREPARE_TIMEOUT_S, wanted=digest)
            self._check(bundle)
            node.prepare(bundle)
        except HeliographError as error:
            reason = str(error)
            _log.warning("cannot prepare digest=%s reason=%r", digest[:12], reason)
        prepared = coordination_pb2.Prepared(digest=digest, reason=reason)
        self._send(coordination_pb2.NodeMessage(prepared=prepared))

    async def _make_switch(self) -> None:
        """Between two steps.  A node that was stopped may find this to do before it has prepared for it."""
        assert self._node is not None
        if self._preparing is not None:
            await asyncio.wait({self._preparing})
        switch, self._switch = self._switch, None
        assert switch is not None
        self._node.switch(switch.digest, coding=switch.coding, members=switch.members)

    async def _answer_counters(self, node: NodeHandle) -> None:
        self._send(coordination_pb2.NodeMessage(counters=counters_of(await node.totals())))

    def _send(self, message: coordination_pb2.NodeMessage) -> None:
        # A session that is broken is noticed, with its cause, by the reader.
        if self._writer is not None and not self._writer.send(message):
            _log.debug("not sent kind=%s", message.WhichOneof("kind"))

    def _time_left_s(self) -> float:
        return max(0.0, self._join_by - time.monotonic())

    def _gone(self, what: str) -> CoordinatorGone:
        return CoordinatorGone(f"coordinator {self._address} {what}", remedy="Start it, then start this node again")

    def _refusal(self, error: grpc.aio.AioRpcError) -> HeliographError:
        code, sentence = error.code(), f"coordinator {self._address}: {error.details()}"
        if code is grpc.StatusCode.FAILED_PRECONDITION:
            return BundleMismatch(sentence)
        if code is grpc.StatusCode.DATA_LOSS:
            return BundleCorrupt(sentence)
        if code is grpc.StatusCode.ALREADY_EXISTS:
            return SlotTaken(sentence, remedy="End the other node first")
        if code is grpc.StatusCode.PERMISSION_DENIED:
            return PeerRefused(sentence, remedy="Give this node the certificate of its slot")
        if code is grpc.StatusCode.NOT_FOUND:
            return SettingsError(sentence, remedy="Give --slot one of the team's slots")
        return self._gone(f"is gone: {code.name} {error.details()}")
