"""The world behind a coordinator: fetches the bundle, joins, and turns its stream into inputs, rosters and counters.

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

from agent_node.agent_input import AgentInput
from agent_node.answers import Answers
from agent_node.call_status import AnotherRun, ending, gone, refusal
from agent_node.coordination_wire import (
    Switch,
    act_of,
    agent_input_of,
    counters_of,
    grace_of,
    members_of,
    message_of,
    switch_of,
    team_of,
)
from agent_node.coordinator_channel import CoordinatorChannel, Session
from agent_node.stream_writer import StreamWriter
from agent_node.world import NodeHandle, StepReport, Team
from heliograph import bundle as bundles
from heliograph import rpc
from heliograph.actions import ActionSpace
from heliograph.bundle import MAX_BUNDLE_BYTES, Bundle
from heliograph.codecs.bit_packed import BitPacked
from heliograph.errors import (
    BundleCorrupt,
    BundleMismatch,
    CoordinatorGone,
    HeliographError,
    SlotTaken,
    WorldError,
)
from heliograph.grace import REJOIN_S
from heliograph.pb import coordination_pb2
from heliograph.tls import Tls

QUEUED_MESSAGES = 64
"""Acts, changes of the peers, counters: the coordinator reads them all; more than this means that it does not."""

SLOT_GRACE_S, SLOT_PAUSE_S = rpc.NOTICED_WITHIN_S + 2.0, 0.5
"""How long to ask again for a slot that is taken: the keepalive ends a dead holder's session by then."""

REJOIN_PAUSE_S = 0.2
"""Between two tries to join again a coordinator that can be reached."""

PREPARE_TIMEOUT_S = 30.0
"""How long fetching a newer bundle may take."""

LEAVE_TIMEOUT_S = 2.0
"""How long to wait for the coordinator's end of the session when this node leaves."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class CoordinatorWorld:
    """The session of one node with the coordinator at `address` (host:port).

    Connecting, fetching and joining together take at most `join_timeout_s`.  When the call to the coordinator breaks -
    at once if its process died, after the keepalive's six seconds if it hangs - the node calls again, and goes on in
    its seat as if nothing had been.  If it is not welcomed within the team's grace, as the coordinator told it
    (`rejoin_s` if that said none), the session ends with CoordinatorGone; so it does if another run is there now, or
    at the first try that `is_wanted` does not allow.  With `tls` the coordinator must have the coordinator's
    certificate.

    `check` raises BundleError for a newer bundle that is not to be taken; None: the node keeps the one that it has.
    `joined` is called when the node has been welcomed, and not again after a cut.
    """

    # Seven parameters: what a process and a program that holds one settle for themselves, most with defaults.
    def __init__(
        self,
        address: str,
        *,
        join_timeout_s: float,
        rejoin_s: float = REJOIN_S,
        is_wanted: Callable[[], bool] = lambda: True,
        joined: Callable[[], None] = lambda: None,
        tls: Tls | None = None,
        check: Callable[[Bundle], None] | None = None,
    ) -> None:
        self._address = address
        self._until = time.monotonic() + join_timeout_s
        self._timeout_s, self._rejoin_s = join_timeout_s, rejoin_s
        self._is_wanted, self._joined = is_wanted, joined
        self._channel = CoordinatorChannel(address, tls=tls)
        self._codec: BitPacked | None = None  # of reported latents, if the coordinator wants them
        self._actions: ActionSpace | None = None  # of the node that entered
        self._call: Session | None = None
        self._writer: StreamWriter[coordination_pb2.NodeMessage] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._check = check
        self._preparing: asyncio.Task[None] | None = None
        self._switch: Switch | None = None  # to be made before the next step
        self._node: NodeHandle | None = None
        self._team: Team | None = None
        self._connected: tuple[int, ...] = ()
        self._answers = Answers()
        self._failure: HeliographError | None = None
        self._failed_at = 0.0
        self._has_met = False
        self._over = False
        self._left = False
        self._news = asyncio.Event()

    @property
    def has_joined(self) -> bool:
        """It has been welcomed, whatever came of it since."""
        return self._team is not None

    @property
    def has_met(self) -> bool:
        """The coordinator was there, whether or not it has welcomed the node."""
        return self._has_met

    @property
    def grace_left_s(self) -> float:
        """How long another coordinator may still be looked for; all of the grace unless this one was lost before."""
        lost_at = self._failed_at if isinstance(self._failure, CoordinatorGone) else time.monotonic()
        return max(0.0, lost_at + self._rejoin_s - time.monotonic())

    async def fetch_bundle(self, slot: int | None) -> Bundle:
        """Get the slot's bundle, or that of a slot without a live node, which is then kept for this one for a while.

        Raises BundleError, SettingsError if there is no such slot, SlotTaken if every slot is, or CoordinatorGone.
        """
        await self._reach()
        return await self._ask_again(lambda: self._fetch(slot, timeout_s=self._time_left_s()))

    async def _fetch(self, slot: int | None, *, timeout_s: float, wanted: str = "") -> Bundle:
        """The current bundle, or that of a `wanted` digest."""
        name = "any slot" if slot is None else f"slot {slot}"
        tar, digest = bytearray(), ""
        try:
            request = coordination_pb2.FetchBundleRequest(slot=slot or 0, any_slot=slot is None, digest=wanted)
            async for chunk in self._channel.stub.FetchBundle(request, timeout=timeout_s):
                tar += chunk.data
                digest = chunk.digest
                if len(tar) > MAX_BUNDLE_BYTES:
                    raise BundleCorrupt(f"bundle of {name} is larger than {MAX_BUNDLE_BYTES // 2**20} MiB")
        except grpc.aio.AioRpcError as error:
            raise refusal(error, address=self._address) from None
        bundle = bundles.from_tar(bytes(tar), origin=f"bundle of {name} from {self._address}")
        if bundle.digest != digest or wanted not in ("", digest):
            announced = (wanted or digest)[:12]
            raise BundleCorrupt(f"bundle of {name} has digest {bundle.digest[:12]}, announced was {announced}")
        return bundle

    async def enter(self, node: NodeHandle) -> Team:
        """Join.  Raises BundleMismatch, SlotTaken, SettingsError or CoordinatorGone if that fails."""
        await self._reach()
        team = await self._ask_again(lambda: self._join(node))
        self._joined()
        return team

    async def _ask_again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, for a while again if what is asked for is taken: its holder may be gone, and that not be noticed yet."""
        give_up = min(self._until, time.monotonic() + SLOT_GRACE_S)
        while True:
            try:
                return await ask()
            except SlotTaken:
                if time.monotonic() + SLOT_PAUSE_S > give_up:
                    raise
                await asyncio.sleep(SLOT_PAUSE_S)

    async def _join(self, node: NodeHandle, *, resumes: str = "") -> Team:
        """Be welcomed over a new call, and follow it from then on."""
        call = self._channel.participate()
        writer = StreamWriter(call.write, limit=QUEUED_MESSAGES)
        join = coordination_pb2.Join(
            protocol_version=rpc.PROTOCOL_VERSION,
            slot=node.slot,
            instance=node.instance,
            peer_address=node.peer_address,
            bundle_digest=node.bundle_digest,
            resumes=resumes,
        )
        writer.send(coordination_pb2.NodeMessage(join=join))
        try:
            # The call is given up if this times out, so a cancelled operation does no harm here.
            data = await asyncio.wait_for(call.read(), self._time_left_s())
        except TimeoutError:
            raise self._gone(f"did not welcome slot {node.slot} within {self._timeout_s:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise refusal(error, address=self._address) from None
        if not isinstance(data, bytes) or (reply := message_of(data)).WhichOneof("kind") != "welcome":
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
        self._team, self._rejoin_s = team, grace_of(reply.welcome, otherwise=self._rejoin_s)
        self._call, self._writer, self._failure = call, writer, None
        self._answers.begin_call()
        self._reading = asyncio.get_running_loop().create_task(self._read(call, node))
        return team

    async def agent_input(self) -> AgentInput | None:
        while not self._answers.has_pending or self._switch is not None:
            if self._switch is not None and self._failure is None:
                await self._make_switch()
                continue
            if self._failure is not None:
                await self._join_again(self._failure)
                continue
            if self._over:
                return None
            self._news.clear()
            # Bounded by the keepalive: a dead or hung coordinator ends the read, which is news.
            await self._news.wait()
        return self._answers.take()

    async def _join_again(self, failure: HeliographError) -> None:
        """Take the seat again, after a cut.  Raises the failure unless it is one, or what it became."""
        if not isinstance(failure, CoordinatorGone) or self._rejoin_s == 0:
            raise failure
        assert self._team is not None
        assert self._node is not None
        node, team = self._node, self._team
        self._until = self._failed_at + self._rejoin_s
        self._timeout_s = self._rejoin_s
        # Without its remedy: the node looks for the coordinator by itself.
        _log.warning("cut off seconds_left=%.1f cause=%s", self._time_left_s(), failure.message)
        while True:
            try:
                await self._reach()
                await self._ask_again(lambda: self._join(node, resumes=team.run_id))
            except AnotherRun as another:
                raise self._gone(f"is another one: {another}") from None
            except CoordinatorGone as lost:
                self._failure = lost
                if not self._is_wanted() or self._time_left_s() <= REJOIN_PAUSE_S:
                    raise
                await asyncio.sleep(REJOIN_PAUSE_S)
                continue
            _log.warning("back after_s=%.1f", time.monotonic() - self._failed_at)
            self.connected(self._connected)
            return

    async def act(self, report: StepReport) -> None:
        assert self._actions is not None
        act = self._answers.decided(act_of(report, actions=self._actions, codec=self._codec))
        if act is not None:
            self._send(coordination_pb2.NodeMessage(act=act))

    def connected(self, slots: tuple[int, ...]) -> None:
        self._connected = slots
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

    async def _reach(self) -> None:
        """Be connected.  Raises CoordinatorGone, with what stands in the way, if that takes too long."""
        _log.debug("connecting address=%s", self._address)
        while not await self._channel.is_ready(timeout_s=self._time_left_s()):
            if not self._is_wanted():
                raise self._gone("is gone, and so is the process that started this node")
            if self._time_left_s() == 0:
                cause = await self._channel.why_not()
                raise self._gone(f"cannot be reached within {self._timeout_s:g} s{cause and f': {cause}'}")
        self._has_met = True

    async def _read(self, call: Session, node: NodeHandle) -> None:
        """Follow the coordinator's stream to its end, whatever that is."""
        try:
            while isinstance(data := await call.read(), bytes):  # until it is EOF
                self._handle(message_of(data), node)
            if not self._over:
                self._fail(self._gone("ended the session"))
        except grpc.aio.AioRpcError as error:
            self._fail(ending(error, address=self._address))
        except HeliographError as error:
            self._fail(error)
        finally:
            self._news.set()

    def _fail(self, failure: HeliographError) -> None:
        self._failure, self._failed_at = failure, time.monotonic()

    def _handle(self, message: coordination_pb2.CoordinatorMessage, node: NodeHandle) -> None:
        kind = message.WhichOneof("kind")
        if kind == "percept":
            act = self._answers.asked(agent_input_of(message.percept))
            if act is not None:
                self._send(coordination_pb2.NodeMessage(act=act))
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
        return max(0.0, self._until - time.monotonic())

    def _gone(self, what: str) -> CoordinatorGone:
        return gone(self._address, what)
