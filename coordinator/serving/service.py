"""The coordination service: one long-lived session per node, and the bundles that they fetch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio

from coordinator.serving import wire
from coordinator.serving.bundle_store import BundleStore
from coordinator.serving.callers import Callers, Context
from coordinator.serving.roster import Member
from coordinator.serving.session import Outbox, Session
from coordinator.serving.slot_reservations import SlotReservations
from coordinator.serving.team import Team
from heliograph.errors import BundleMismatch, HeliographError, MessageError, SlotTaken
from heliograph.pb import coordination_pb2 as pb

logger = logging.getLogger(__name__)

SERVICE = "heliograph.v1.Coordination"

JOIN_DEADLINE_S = 10.0
"""A call that does not introduce itself in this time is ended, so that nobody can hold connections for nothing."""

WRITE_DEADLINE_S = 1.0
"""How long the last write of a call may take once the node has half-closed; a live node reads it in milliseconds."""


class CoordinationService:
    """Serves `bundles` to `callers` and turns their calls into sessions of `team`; `greeting()` is what a node is
    welcomed with."""

    def __init__(
        self,
        *,
        team: Team,
        run_id: str,
        bundles: BundleStore,
        greeting: Callable[[], pb.CoordinatorMessage],
        callers: Callers,
    ) -> None:
        self._team, self._run_id = team, run_id
        self._bundles = bundles
        self._greeting = greeting
        self._callers = callers
        self._reservations = SlotReservations(team)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve; call before the server starts.

        A session is read as bytes, so that what is no message is refused and counted here, and does not end in gRPC.
        """
        handlers = {
            "FetchBundle": grpc.unary_stream_rpc_method_handler(
                self._fetch_bundle,
                request_deserializer=pb.FetchBundleRequest.FromString,
                response_serializer=pb.BundleChunk.SerializeToString,
            ),
            "Participate": grpc.stream_stream_rpc_method_handler(
                self._participate, response_serializer=pb.CoordinatorMessage.SerializeToString
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def _fetch_bundle(self, request: pb.FetchBundleRequest, context: Context) -> AsyncIterator[pb.BundleChunk]:
        slot = await self._promised_slot(context) if request.any_slot else request.slot
        await self._require_slot(slot, context)
        try:
            bundle = self._bundles.bundle(slot, request.digest)
        except BundleMismatch as error:
            await self._callers.refuse(context, error.grpc_status, str(error))
        for chunk in self._bundles.chunks(bundle):
            yield pb.BundleChunk(data=chunk.data, digest=chunk.digest)

    async def _participate(self, _requests: AsyncIterator[bytes], context: Context) -> None:
        try:
            await self._follow(context)
        except HeliographError as error:
            logger.warning("session refused peer=%s error=%s", self._callers.name(context), error)
            await self._callers.refuse(context, error.grpc_status, str(error))

    async def _follow(self, context: Context) -> None:
        try:
            # A timeout around a read cancels the call, which is what is wanted here.
            data = await asyncio.wait_for(context.read(), JOIN_DEADLINE_S)
        except TimeoutError:
            raise MessageError(f"no join within {JOIN_DEADLINE_S:g} s") from None
        if data is grpc.aio.EOF:
            return
        join = wire.parse_join(wire.parse_message(data))
        if join.resumes not in ("", self._run_id):
            sentence = f"this is run {self._run_id}, not {join.resumes}, which slot {join.slot} was in"
            await self._callers.refuse(context, "ABORTED", sentence)
        await self._require_slot(join.slot, context)
        member = Member(
            slot=join.slot,
            peer_address=join.peer_address,
            instance=join.instance,
            bundle_digest=join.bundle_digest,
        )
        session = self._team.join(
            member,
            protocol_version=join.protocol_version,
            greeting=self._greeting(),
            resumes=bool(join.resumes),
        )
        self._reservations.taken(session.slot)
        outbox = session.outbox
        # One writer per call: gRPC allows a single write at a time.
        writer = asyncio.create_task(_write_all(session.slot, outbox, context), name=f"write to slot {session.slot}")
        try:
            while (data := await context.read()) is not grpc.aio.EOF:
                if session.outbox is not outbox:
                    return  # the node has called again, since it knew of a cut before we did
                self._take(session, wire.parse_message(data))
        except asyncio.CancelledError:
            # The node is gone, and with it whatever a write could still wait for.
            writer.cancel()
            raise
        except MessageError:
            self._team.expel(session, outbox)
            raise
        finally:
            self._team.part(session, outbox)
            # A call cannot end with a write in flight: gRPC would drop its status.
            await asyncio.wait({writer}, timeout=WRITE_DEADLINE_S)
            writer.cancel()

    def _take(self, session: Session, message: pb.NodeMessage) -> None:
        kind = message.WhichOneof("kind")
        self._team.on_message(session)
        if kind == "act":
            actions = self._team.actions[session.slot]
            self._team.on_act(session, wire.parse_act(message.act, actions=actions, team_size=self._team.size))
        elif kind == "connected":
            peers = wire.parse_connected(message.connected, slot=session.slot, team_size=self._team.size)
            self._team.on_connected(session, peers)
        elif kind == "counters":
            counters = wire.parse_counters(message.counters, slot=session.slot, team_size=self._team.size)
            self._team.on_counters(session, counters)
        elif kind == "prepared":
            self._team.on_prepared(session, message.prepared.digest, message.prepared.reason)
        else:
            raise MessageError(f"slot {session.slot} sent {kind or 'an empty message'} in the middle of its session")

    async def _promised_slot(self, context: Context) -> int:
        if self._callers.certified:
            return await self._callers.certified_slot(context)
        try:
            return self._reservations.promise()
        except SlotTaken as error:
            await self._callers.refuse(context, error.grpc_status, str(error))

    async def _require_slot(self, slot: int, context: Context) -> None:
        await self._callers.require_certificate(slot, context)
        if not self._bundles.has(slot):
            sentence = f"there is no slot {slot}; this team has slots 0..{self._team.size - 1}"
            await self._callers.refuse(context, "NOT_FOUND", sentence)


async def _write_all(slot: int, outbox: Outbox, context: Context) -> None:
    while (message := await outbox.get()) is not None:
        try:
            await context.write(message)
        except (grpc.RpcError, grpc.aio.BaseError, RuntimeError) as error:
            # The call is over; its reader notices by itself and ends the session.
            logger.info("cannot write slot=%d error=%r", slot, error)
            return
