"""One environment step of a node.  Imported by `node.py`.

The input arrives; listeners that have not got the last message get it; the messages of those in hearing are awaited
until all are there or the deadline passes; the agent decides; its message goes out at once to whoever can hear it,
which overlaps with the world's step.
"""

from __future__ import annotations

import asyncio
import time

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.counters import CounterTable
from agent_node.inbox import Inbox
from agent_node.outbox import Outbox
from agent_node.peers import Peers
from agent_node.wire import MessageWire
from agent_node.world import StepReport
from heliograph.sending import Sending


class Stepper:
    """Runs an agent's steps with the messages that its peers really got through in time."""

    def __init__(
        self, agent: Agent, *, wire: MessageWire | None, inbox: Inbox, peers: Peers, counts: CounterTable
    ) -> None:
        self._agent = agent
        self._inbox = inbox
        self._peers = peers
        self._receives_from: tuple[int, ...] = ()
        self._outbox = Outbox(
            wire=wire,
            send=peers.send,
            is_silent=self._is_silent,
            counts=counts,
            instance_of=peers.instances.get,
            withholds=agent.manifest.sending is not None,
        )

    async def step(self, agent_input: AgentInput) -> StepReport:
        """Decide one step, at most `message_deadline_s` plus the time of the step function after this call.

        Raises what `Agent.step` raises.
        """
        arrived_s, deadline_at = time.perf_counter(), asyncio.get_running_loop().time() + agent_input.message_deadline_s
        self._agent.check_neighbours(agent_input)
        self._peers.allow_more()
        self._receives_from, receives_from = agent_input.receives_from, self._agent.reads(agent_input)
        self._inbox.begin(agent_input.episode, agent_input.step, lost=agent_input.lost, late=agent_input.late)
        self._outbox.catch_up(agent_input.episode, agent_input.step, sends_to=agent_input.sends_to)
        up, sending = self._peers.instances, self._agent.manifest.sending
        awaited = [peer for peer in receives_from if peer in up and self._inbox.is_worth_waiting_for(peer)]
        if sending is not None:
            awaited = [peer for peer in awaited if self._must_come(peer, sending)]
        await self._inbox.wait(awaited, until=deadline_at, attend=self._peers.attend)
        closed = self._inbox.close(receives_from, awaited=awaited)
        closed_s = time.perf_counter()
        decision = self._agent.step(agent_input, closed.messages)
        decided_s = time.perf_counter()
        if decision.message is not None:
            self._outbox.push(decision.message, sends_to=agent_input.sends_to)
        if sending is not None:
            self._peers.attend(up)  # the next step may not wait for what comes until then
        return StepReport(
            episode=agent_input.episode,
            step=agent_input.step,
            decision=decision,
            masked=closed.masked,
            waited_s=closed_s - arrived_s,
            computed_s=decided_s - closed_s,
        )

    def _must_come(self, peer: int, sending: Sending) -> bool:
        """Whether the peer cannot withhold the message that this step reads."""
        steps = self._inbox.steps_without(peer)
        # What has come before the step began is there without waiting, and a heartbeat that fails to come tells who is
        # gone; so nobody waits for what may never be sent.
        return steps is None or sending.is_due(steps=steps)

    def _is_silent(self, peer: int) -> bool:
        # Silence says something of a peer that we should hear now.  One that came back, and that we cannot hear any
        # more, has no way to tell us that it listens again.
        return peer in self._inbox.silent and peer in self._receives_from
