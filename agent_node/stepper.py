"""One environment step of a node.  Imported by `node.py`.

The percept arrives; listeners that have not got the last message get it; the messages of those in hearing are awaited
until all are there or the deadline passes; the agent decides; its message goes out at once to whoever can hear it,
which overlaps with the world's step.
"""

from __future__ import annotations

import asyncio
import time

from agent_node.agent import Agent
from agent_node.counters import CounterTable
from agent_node.inbox import Inbox
from agent_node.outbox import Outbox
from agent_node.peers import Peers
from agent_node.percept import Percept
from agent_node.wire import MessageWire
from agent_node.world import StepReport


class Stepper:
    """Runs an agent's steps with the messages that its peers really got through in time."""

    def __init__(
        self, agent: Agent, *, wire: MessageWire | None, inbox: Inbox, peers: Peers, counts: CounterTable
    ) -> None:
        self._agent = agent
        self._inbox = inbox
        self._peers = peers
        self._hears: tuple[int, ...] = ()
        self._outbox = Outbox(wire=wire, send=peers.send, is_silent=self._is_silent, counts=counts)

    async def step(self, percept: Percept) -> StepReport:
        """Decide one step, at most `message_deadline_s` plus the time of the step function after this call.

        Raises what `Agent.step` raises.
        """
        arrived_s, deadline_at = time.perf_counter(), asyncio.get_running_loop().time() + percept.message_deadline_s
        self._agent.check_neighbours(percept)
        self._peers.allow_more()
        self._hears, hears = percept.hears, self._agent.reads(percept)
        self._inbox.begin(percept.episode, percept.step, lost=percept.lost, late=percept.late)
        self._outbox.catch_up(percept.episode, percept.step, heard_by=percept.heard_by)
        awaited = [peer for peer in hears if self._peers.is_up(peer) and self._inbox.is_worth_waiting_for(peer)]
        await self._inbox.wait(awaited, until=deadline_at)
        closed = self._inbox.close(hears, awaited=awaited)
        closed_s = time.perf_counter()
        decision = self._agent.step(percept, closed.messages)
        decided_s = time.perf_counter()
        if decision.message is not None:
            self._outbox.push(decision.message, heard_by=percept.heard_by)
        return StepReport(
            episode=percept.episode,
            step=percept.step,
            decision=decision,
            masked=closed.masked,
            waited_s=closed_s - arrived_s,
            computed_s=decided_s - closed_s,
        )

    def _is_silent(self, peer: int) -> bool:
        # Silence says something of a peer that we should hear now.  One that came back, and that we cannot hear any
        # more, has no way to tell us that it listens again.
        return peer in self._hears and self._inbox.is_silent(peer)
