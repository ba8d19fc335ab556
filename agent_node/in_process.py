"""The in-process transport: a whole team in one process, with the message rules of the node and none of its network.

Public.  The same `Agent`, `Inbox` and `Outbox` run here as in a node, so under equal inputs the trajectories equal
those of N processes bit for bit, as long as no message of theirs is late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.counters import CounterTable
from agent_node.inbox import Inbox, LatePolicy
from agent_node.message import Decision, Label, Message
from agent_node.outbox import Outbox
from agent_node.wire import MessageWire, Outgoing, Written
from heliograph.codecs import Codec
from heliograph.errors import SettingsError
from heliograph.link_counters import LinkCounters

Exchange = Callable[[int, Label, Message | None], Message | None]
"""What a slot sends at (episode, step) in place of what it would, None being nothing."""


class InProcessTeam:
    """N agents, slots 0..N-1 in order, that exchange their messages at once, with no losses but the agent inputs' ones.

    `codec` is how messages are written, bit-packed if it is None; they are, so that the counts are those of processes.
    `late_policy` is that of their training if it is None.
    `exchange` is shown every message before it is sent, and may send another; each agent goes on by its own.
    Raises SettingsError if the agents are not one whole team.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        *,
        late_policy: LatePolicy | None = None,
        codec: Codec | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        slots = [(agent.slot, agent.manifest.team_size) for agent in agents]
        if slots != [(slot, len(agents)) for slot in range(len(agents))]:
            raise SettingsError(f"agents with (slot, team size) {slots} are not one team in the order of its slots")
        if late_policy is None:
            late_policy = LatePolicy(agents[0].manifest.late_policy)
        if late_policy is not LatePolicy.HOLD and any(agent.manifest.sending is not None for agent in agents):
            raise SettingsError("agents that withhold messages need a late policy of HOLD")
        if late_policy is LatePolicy.PREDICT and any(agent.manifest.predicts is None for agent in agents):
            raise SettingsError("agents that predict no messages have no late policy of PREDICT")
        self.late_policy = late_policy
        self._exchange = exchange
        self._members = [
            _Member(
                agent,
                late_policy=late_policy,
                wire=MessageWire.of(agent.manifest, codec),
                deliver_to=self._deliver_to,
            )
            for agent in agents
        ]
        self.masked: list[tuple[int, ...]] = [() for _ in agents]
        """Per agent, the slots that it should have heard at the last step and could not."""
        self.computed_s: list[float] = [0.0 for _ in agents]
        """Per agent, how long it took to decide the last step."""

    def step(self, agent_inputs: Sequence[AgentInput | None]) -> list[Decision | None]:
        """One step of the whole team.  A slot whose agent input is None takes no part in it and has no decision.

        Raises what `Agent.step` raises.
        """
        if len(agent_inputs) != len(self._members):
            raise SettingsError(f"{len(agent_inputs)} observations for a team of {len(self._members)}")
        present = [
            (member, agent_input)
            for member, agent_input in zip(self._members, agent_inputs, strict=True)
            if agent_input is not None
        ]
        self.masked = [() for _ in self._members]
        # As on the wire: whoever is newly in hearing distance gets the last messages before anybody decides,
        # and nobody receives_from of a decision before all are made.
        for member, agent_input in present:
            member.agent.check_neighbours(agent_input)
        for member, agent_input in present:
            member.outbox.catch_up(agent_input.episode, agent_input.step, sends_to=agent_input.sends_to)
        decisions: list[Decision | None] = [None for _ in self._members]
        for member, agent_input in present:
            slot, started = member.agent.slot, time.perf_counter()
            decisions[slot], self.masked[slot] = member.decide(agent_input)
            self.computed_s[slot] = time.perf_counter() - started
        for member, agent_input in present:
            decision = decisions[member.agent.slot]
            assert decision is not None
            message = decision.message
            if self._exchange is not None:
                message = self._exchange(member.agent.slot, (agent_input.episode, agent_input.step), message)
            member.push(message, agent_input)
        return decisions

    def counters(self, slot: int) -> dict[int, LinkCounters]:
        """Totals of one agent's links by peer slot."""
        return self._members[slot].inbox.totals()

    def _deliver_to(self, receiver: int, sender: int, message: Message, written: Written) -> None:
        self._members[receiver].inbox.receive(
            sender, message, size_bytes=len(written.data), latent_bits=written.latent_bits
        )


class _Member:
    def __init__(
        self,
        agent: Agent,
        *,
        late_policy: LatePolicy,
        wire: MessageWire | None,
        deliver_to: Callable[[int, int, Message, Written], None],
    ) -> None:
        counts = CounterTable()
        self.agent = agent
        self.inbox = Inbox(late_policy=late_policy, counts=counts)
        self._deliver_to = deliver_to
        self.outbox = Outbox(wire=wire, send=self._send, is_silent=lambda peer: False, counts=counts)
        self._sent: dict[int, Label] = {}

    def decide(self, agent_input: AgentInput) -> tuple[Decision, tuple[int, ...]]:
        receives_from = self.agent.reads(agent_input)
        self.inbox.begin(agent_input.episode, agent_input.step, lost=agent_input.lost, late=agent_input.late)
        closed = self.inbox.close(receives_from, awaited=())
        return self.agent.step(agent_input, closed.messages), closed.masked

    def push(self, message: Message | None, agent_input: AgentInput) -> None:
        if message is not None:
            self.outbox.push(message, sends_to=agent_input.sends_to)

    def _send(self, peer: int, message: Outgoing) -> Written:
        written = message.written(self._sent.get(peer))
        self._sent[peer] = message.message.label
        self._deliver_to(peer, self.agent.slot, message.as_read, written)
        return written
