"""The node's life: load, listen, enter a world, play, drain.

Imported by `process.py` and by programs with a world of their own.  `stepper.py` holds what happens at one step.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from agent_node.agent import Agent
from agent_node.counters import CounterTable
from agent_node.hello import Hello, Member
from agent_node.inbox import Inbox, LatePolicy
from agent_node.peers import Peers
from agent_node.step_function import StepFunction
from agent_node.stepper import Stepper
from agent_node.transport.choice import transport_of
from agent_node.wire import MessageWire
from agent_node.world import StepReport, Team, World
from heliograph import codecs, log
from heliograph.bundle import Bundle
from heliograph.codecs.coding import Coding
from heliograph.errors import BundleMismatch, SettingsError
from heliograph.link_counters import LinkCounters
from heliograph.listening import as_address, parse_address
from heliograph.manifest import Manifest
from heliograph.refusals import Refusals
from heliograph.tls import Tls
from heliograph.transports import DEFAULT_TRANSPORT

FLUSH_TIMEOUT_S = 1.0
"""What a peer's transport does not take within so long is given up at the end of a run."""

_WILDCARD_HOSTS = ("0.0.0.0", "::")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A bundle without its graph, which has megabytes, and what was made of that."""

    bundle: Bundle
    function: StepFunction

    @classmethod
    def of(cls, bundle: Bundle) -> _Loaded:
        return cls(bundle=replace(bundle, graph=b""), function=StepFunction(bundle))


def host_to_dial(listen: str, advertise: str | None) -> str:
    """By which peers reach who listens there.  Raises SettingsError for no address and for one that none can dial."""
    host, _ = parse_address(listen)
    if advertise is None and host in _WILDCARD_HOSTS:
        raise SettingsError(f"peers cannot dial {listen!r}", remedy="Name a host for them with --advertise")
    return advertise or host


class Node:
    """One agent of a team as a process or a task: a bundle, a Peer service on `listen` and a world.

    `listen` is host:port, port 0 for any free one.  `advertise` is the host that peers are told to dial; by default
    that of `listen`.  With `tls` peers are admitted to the slots of their certificates alone; without it only this
    machine can be listened on, unless `insecure`.  `transport` is one of `heliograph.transports.TRANSPORTS`; nodes of
    different ones understand one another.  Raises BundleError for an unusable bundle and SettingsError for an unusable
    address or transport.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        listen: str = "127.0.0.1:0",
        advertise: str | None = None,
        tls: Tls | None = None,
        insecure: bool = False,
        transport: str = DEFAULT_TRANSPORT,
    ) -> None:
        host = host_to_dial(listen, advertise)
        self.slot = bundle.manifest.slot
        self.instance = uuid.uuid4().hex
        self.peer_address = ""  # known once it listens
        self._listen, self._advertised = listen, host.strip("[]")
        self._tls, self._insecure = tls, insecure
        self._transport = transport_of(transport)
        self._loaded = _Loaded.of(bundle)
        self._next: _Loaded | None = None
        self._peers: Peers | None = None
        self._inbox: Inbox | None = None
        self.late_policy: LatePolicy | None = None
        """What stands for late messages in its run; None before it has joined one."""
        self._team: Team | None = None
        self._stepper: Stepper | None = None
        self.counts = CounterTable()
        self.refusals = Refusals()
        """What it counts of its links; `totals` adds what is still kept for a step to come."""
        self.observers: list[Callable[[StepReport], None]] = []
        """Told of every step, after its action is on its way."""

    @property
    def manifest(self) -> Manifest:
        """Of the bundle that runs now."""
        return self._loaded.bundle.manifest

    @property
    def bundle_digest(self) -> str:
        return self._loaded.bundle.digest

    async def run(self, world: World) -> None:
        """Serve, enter the world and play until it is over; drain and leave it then, after an error, or if cancelled.

        Raises PortTaken, what the world raises (CoordinatorGone among others), BundleMismatch if the run's latents are
        written by other tables than the bundle's, and what `Agent.step` raises.
        """
        place = log.enter(slot=self.slot)
        server = self._transport.server(tls=self._tls, refusals=self.refusals)
        health = server.health
        self._peers = Peers(
            slot=self.slot,
            team_size=self.manifest.team_size,
            transport=self._transport,
            on_change=world.connected,
            tls=self._tls,
            refusals=self.refusals,
        )
        self._peers.add_to(server)
        port = server.bind(self._listen, insecure=self._insecure)
        self.peer_address = as_address(self._advertised, port)
        await health.starting()
        await server.start()
        _log.info("listening address=%s slot=%d", self.peer_address, self.slot)
        try:
            team = await world.enter(self)
            place.run = team.run_id
            self._join(team)
            await health.serving()
            _log.info("serving slot=%d", self.slot)
            while (agent_input := await world.agent_input()) is not None:
                place.episode, place.step = agent_input.episode, agent_input.step
                assert self._stepper is not None
                report = await self._stepper.step(agent_input)
                await world.act(report)
                for observe in self.observers:
                    observe(report)
        finally:
            await health.draining()
            await self._peers.close(timeout_s=FLUSH_TIMEOUT_S)
            await world.leave()
            await server.stop(grace_s=FLUSH_TIMEOUT_S)
            _log.info("left slot=%d", self.slot)

    def update_roster(self, members: Iterable[Member]) -> None:
        """Replace the team's roster."""
        assert self._peers is not None
        self._peers.update_roster(members)

    def prepare(self, bundle: Bundle) -> None:
        """Load a bundle beside the one that runs.  Raises BundleCorrupt, or BundleMismatch if it does not fit."""
        self._next = None
        now, then = self.manifest, bundle.manifest
        bundle.check_slot(slot=self.slot, team_size=now.team_size)
        same = (
            "observation_size",
            "actions",
            "team_actions",
            "message",
            "message_values",
            "sending",
            "predicts",
            "holds",
        )
        for name in same:
            if getattr(now, name) != getattr(then, name):
                raise BundleMismatch(
                    f"bundle {bundle.digest[:12]} has {name} {getattr(then, name)}, "
                    f"{self.bundle_digest[:12]}, which runs, has {getattr(now, name)}"
                )
        self._next = _Loaded.of(bundle)
        _log.info("prepared slot=%d digest=%s training_step=%d", self.slot, bundle.digest[:12], then.training_step)

    def switch(self, digest: str, *, coding: Coding, members: Iterable[Member]) -> None:
        """Go on with the prepared bundle.  Raises BundleMismatch if that is another one, or its tables are."""
        assert self._team is not None
        assert self._peers is not None
        if self._next is None or self._next.bundle.digest != digest:
            ready = "none" if self._next is None else self._next.bundle.digest[:12]
            raise BundleMismatch(
                f"the team goes on with bundle {digest[:12]}, slot {self.slot} has {self.bundle_digest[:12]} and "
                f"has prepared {ready}",
                remedy="Start the node again",
            )
        self._loaded, self._next = self._next, None
        self._team = replace(self._team, coding=coding)
        wire = self._message_wire(coding)
        self._peers.reintroduce(self._hello(), wire=wire, members=members)
        self._act_by(wire)
        _log.info("switched slot=%d digest=%s training_step=%d", self.slot, digest[:12], self.manifest.training_step)

    async def totals(self) -> dict[int, LinkCounters]:
        """Write what is still to be sent, then return the counters by peer slot."""
        assert self._peers is not None
        await self._peers.flush(timeout_s=FLUSH_TIMEOUT_S)
        return {} if self._inbox is None else self._inbox.totals()

    def _join(self, team: Team) -> None:
        assert self._peers is not None
        policy = team.late_policy or LatePolicy(self.manifest.late_policy)
        if policy is LatePolicy.PREDICT and self.manifest.predicts is None:
            raise BundleMismatch(
                f"this run predicts messages that are not there, and the bundle of slot {self.slot} predicts none",
                remedy="Run the team with --late hold or mask, or train one with channel.late = predict",
            )
        if self.manifest.sending is not None and policy is LatePolicy.MASK:
            raise BundleMismatch(
                f"the bundle of slot {self.slot} withholds messages, and this run treats what is not there as missing",
                remedy="Run the team with --late hold",
            )
        self._team = team
        wire = self._message_wire(team.coding)
        self.late_policy = policy
        self._inbox = Inbox(late_policy=policy, counts=self.counts)
        self._peers.introduce(self._hello(), inbox=self._inbox, wire=wire)
        self._act_by(wire)

    def _hello(self) -> Hello:
        assert self._team is not None
        return Hello(
            run_id=self._team.run_id,
            slot=self.slot,
            bundle_digest=self.bundle_digest,
            instance=self.instance,
            coding=self._team.coding,
        )

    def _act_by(self, wire: MessageWire | None) -> None:
        team, loaded = self._team, self._loaded
        assert team is not None
        assert self._inbox is not None
        assert self._peers is not None
        agent = Agent(loaded.bundle, run_seed=team.run_seed, greedy=team.greedy, step_function=loaded.function)
        self._stepper = Stepper(agent, wire=wire, inbox=self._inbox, peers=self._peers, counts=self.counts)

    def _message_wire(self, coding: Coding) -> MessageWire | None:
        if self.manifest.message is None:
            return None
        codec = codecs.make(coding.spec, self.manifest.message, self._loaded.bundle.tables)
        if Coding.of(codec) != coding:
            raise BundleMismatch(
                f"this run writes latents with {coding}, the bundle of slot {self.slot} with {Coding.of(codec)}"
            )
        return MessageWire.of(self.manifest, codec)
