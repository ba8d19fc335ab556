"""What the coordinator knows of one node, for as long as that keeps its seat: its call may break, and be made again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.serving import wire
from coordinator.serving.roster import Member
from heliograph.link_counters import LinkCounters
from heliograph.pb import coordination_pb2 as pb

Outbox = asyncio.Queue[pb.CoordinatorMessage | None]
"""Messages to a node over one call, in order; None ends the call.  Bounded by the protocol: one input at a time."""


@dataclass(eq=False, kw_only=True)
class Session:
    """One node's part in the run."""

    member: Member
    outbox: Outbox = field(default_factory=asyncio.Queue)
    """Of the newest call."""
    cut_at: float | None = None
    """When the newest call broke, on the loop's clock; None: it goes on."""
    connected: frozenset[int] = frozenset()
    outstanding: tuple[int, int] | None = None
    """(episode, step) of the agent input that it has not answered."""
    agent_input: pb.CoordinatorMessage | None = None
    """That agent input."""
    last_agent_input: tuple[int, int] | None = None
    sent_this_step: int = 0
    """Messages since it was sent an agent input."""
    owes_counters: bool = False
    counters: Mapping[int, LinkCounters] | None = None
    prepared: str | None = None
    """Its answer to whether it can go on with the bundles that come next: "", or why not; None: there is none yet."""

    @property
    def slot(self) -> int:
        return self.member.slot

    @property
    def is_cut(self) -> bool:
        return self.cut_at is not None

    def ask(self, agent_input: pb.CoordinatorMessage, *, episode: int, step: int) -> None:
        """Send an agent input, which it then owes an answer to."""
        self.outbox.put_nowait(agent_input)
        self.agent_input = agent_input
        self.outstanding = self.last_agent_input = (episode, step)
        self.sent_this_step = 0

    def ask_counters(self) -> None:
        self.owes_counters, self.counters = True, None
        self.outbox.put_nowait(wire.counters_request())

    def reopen(self, greeting: pb.CoordinatorMessage, roster: pb.CoordinatorMessage) -> None:
        """The node has called again.  What it owed may have been lost on its way in either direction, and is asked
        again."""
        self.close()
        self.outbox = asyncio.Queue()
        self.cut_at, self.sent_this_step = None, 0
        self.outbox.put_nowait(greeting)
        self.outbox.put_nowait(roster)
        if self.outstanding is not None and self.agent_input is not None:
            self.outbox.put_nowait(self.agent_input)
        if self.owes_counters:
            self.ask_counters()

    def close(self) -> None:
        """Let the writer end after the message that it is writing; the rest has no reader any more."""
        while not self.outbox.empty():
            self.outbox.get_nowait()
        self.outbox.put_nowait(None)
