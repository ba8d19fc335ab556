"""The node's life: load, listen, enter a world, play, drain.

Imported by `process.py` and by programs with a world of their own.  `stepper.py` holds what happens at one step.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace

from agent_node.agent import Agent
from agent_node.counters import Ledger, LinkCounters
from agent_node.hello import Hello, Member
from agent_node.inbox import Inbox
from agent_node.peers import Peers
from agent_node.step_function import StepFunction
from agent_node.stepper import Stepper
from agent_node.wire import MessageWire
from agent_node.world import StepReport, Team, World
from heliograph import codecs, log, rpc
from heliograph.bundle import Bundle
from heliograph.codecs.coding import Coding
from heliograph.errors import BundleMismatch, SettingsError
from heliograph.refusals import Refusals
from heliograph.tls import Tls

FLUSH_TIMEOUT_S = 1.0
"""What a peer's transport does not take within so long is given up at the end of a run."""

_WILDCARD_HOSTS = ("0.0.0.0", "[::]", "")

_log = logging.getLogger(__name__)


class Node:
    """One agent of a team as a process or a task: a bundle, a Peer service on `listen` and a world.

    `listen` is host:port, port 0 for any free one.  `advertise` is the host that peers are told to dial; by default
    that of `listen`.  With `tls` peers are admitted to the slots of their certificates alone; without it only this
    machine can be listened on, unless `insecure`.  Raises BundleError for an unusable bundle and SettingsError for an
    unusable address.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        listen: str = "127.0.0.1:0",
        advertise: str | None = None,
        tls: Tls | None = None,
        insecure: bool = False,
    ) -> None:
        host, colon, port = listen.rpartition(":")
        if not colon or not port.isdigit():
            raise SettingsError(f"address {listen!r} is not host:port", remedy="Use port 0 for any free one")
        if advertise is None and host in _WILDCARD_HOSTS:
            raise SettingsError(f"peers cannot dial {listen!r}", remedy="Name a host for them with --advertise")
        self.slot = bundle.manifest.slot
        self.manifest = bundle.manifest
        self.bundle_digest = bundle.digest
        self.instance = uuid.uuid4().hex
        self.peer_address = ""  # known once it listens
        self._listen, self._host = listen, advertise or host
        self._tls, self._insecure = tls, insecure
        self._bundle = replace(bundle, graph=b"")
        self._function = StepFunction(bundle)
        self._peers: Peers | None = None
        self._inbox: Inbox | None = None
        self.ledger = Ledger()
        self.refusals = Refusals()
        """What it counts of its links; `totals` adds what is still kept for a step to come."""
        self.observers: list[Callable[[StepReport], None]] = []
        """Told of every step, after its action is on its way."""

    async def run(self, world: World) -> None:
        """Serve, enter the world and play until it is over; drain and leave it then, after an error, or if cancelled.

        Raises PortTaken, what the world raises (CoordinatorGone among others), BundleMismatch if the run's latents are
        written by other tables than the bundle's, and what `Agent.step` raises.
        """
        place = log.enter(slot=self.slot)
        server = rpc.server(max_message_bytes=rpc.MAX_PEER_BYTES)
        health = rpc.Health(server)
        self._peers = Peers(
            slot=self.slot,
            team_size=self.manifest.team_size,
            on_change=world.connected,
            tls=self._tls,
            refusals=self.refusals,
        )
        self._peers.add_to(server)
        port = rpc.bind(server, self._listen, tls=self._tls, insecure=self._insecure)
        self.peer_address = f"{self._host}:{port}"
        await health.starting()
        await server.start()
        _log.info("listening address=%s slot=%d", self.peer_address, self.slot)
        try:
            team = await world.enter(self)
            place.run = team.run_id
            stepper = self._join(team)
            await health.serving()
            _log.info("serving slot=%d", self.slot)
            while (percept := await world.percept()) is not None:
                place.episode, place.step = percept.episode, percept.step
                report = await stepper.step(percept)
                await world.act(report)
                for observe in self.observers:
                    observe(report)
        finally:
            await health.draining()
            await self._peers.close(timeout_s=FLUSH_TIMEOUT_S)
            await world.leave()
            await server.stop(grace=FLUSH_TIMEOUT_S)
            _log.info("left slot=%d", self.slot)

    def update_roster(self, members: Iterable[Member]) -> None:
        """Replace the team's roster."""
        assert self._peers is not None
        self._peers.update_roster(members)

    async def totals(self) -> dict[int, LinkCounters]:
        """Write what is still to be sent, then return the counters by peer slot."""
        assert self._peers is not None
        await self._peers.flush(timeout_s=FLUSH_TIMEOUT_S)
        return {} if self._inbox is None else self._inbox.totals()

    def _join(self, team: Team) -> Stepper:
        assert self._peers is not None
        wire = self._message_wire(team.coding)
        self._inbox = Inbox(late_policy=team.late_policy, ledger=self.ledger)
        self._peers.introduce(
            Hello(
                run_id=team.run_id,
                slot=self.slot,
                bundle_digest=self.bundle_digest,
                instance=self.instance,
                coding=team.coding,
            ),
            inbox=self._inbox,
            wire=wire,
        )
        agent = Agent(self._bundle, run_seed=team.run_seed, greedy=team.greedy, step_function=self._function)
        return Stepper(agent, wire=wire, inbox=self._inbox, peers=self._peers, ledger=self.ledger)

    def _message_wire(self, coding: Coding) -> MessageWire | None:
        if self.manifest.message is None:
            return None
        codec = codecs.make(coding.spec, self.manifest.message, self._bundle.tables)
        if Coding.of(codec) != coding:
            raise BundleMismatch(
                f"this run writes latents with {coding}, the bundle of slot {self.slot} with {Coding.of(codec)}"
            )
        return MessageWire.of(self.manifest, codec)
