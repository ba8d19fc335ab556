"""The live nodes of a run: their sessions, who still owes an answer, who is connected to whom.

Lives on one event loop.  `service` feeds it from the wire, `coordinator.running.episode` plays with it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from coordinator.serving import wire
from coordinator.serving.conservation import NodeReport, Reading, balance, disputes
from coordinator.serving.roster import Member, Roster
from coordinator.serving.seats import Seats
from coordinator.serving.session import Session
from coordinator.world.trajectory import Reply
from coordinator.world.world import View
from heliograph import rpc
from heliograph.actions import ActionSpace
from heliograph.codecs.bit_packed import BitPacked
from heliograph.codecs.coding import Coding
from heliograph.errors import MessageError, NodeFailed
from heliograph.grace import REJOIN_S
from heliograph.link_counters import LinkCounters
from heliograph.pb import coordination_pb2 as pb

logger = logging.getLogger(__name__)

COUNTERS_DEADLINE_S = 5.0
"""How long nodes may take to answer with their counters; they first flush what they still have to send."""

SETTLE_DEADLINE_S = 1.0
"""How long messages may still be on their way after their senders have flushed; then they count as missing."""

SETTLE_INTERVAL_S = 0.05

LAST_STEP_DEADLINE_S = 5.0
"""How long nodes may take to finish the step in which a run is stopped; within a step their counts do not match."""

MESSAGES_PER_STEP = 1000
"""A node says what it does, and which peers come and go; one that says so much between two inputs is out of order."""

SILENCE_S = rpc.NOTICED_WITHIN_S + 1.0
"""How long a step that nobody answers is held beyond its deadline: by then it is known whether all are cut off."""

MAX_REASON = 500
"""Characters that are kept of what a node gives as a reason."""


class Team(Seats):
    """The sessions of the nodes, by slot.  `actions` is what each does, as it writes it, and `codec` decodes
    reported latents; None if there are none.

    `address_of(slot, member)` is where the node of `slot` is told to reach the member; by default where that listens.
    """

    def __init__(
        self,
        roster: Roster,
        *,
        actions: Sequence[ActionSpace],
        codec: BitPacked | None,
        address_of: Callable[[int, Member], str] = lambda slot, member: member.peer_address,
        rejoin_s: float = REJOIN_S,
    ) -> None:
        super().__init__(roster, address_of=address_of, rejoin_s=rejoin_s)
        self.stale_acts = 0
        """Answers to a step that was already over; each came from a node that had been unresponsive."""
        self.steps = 0
        """Asked for so far, also in episodes that did not come to their end."""
        self.actions, self.codec = tuple(actions), codec
        self._awaited: set[Session] = set()
        self._asked: tuple[int, int] | None = None
        self._replies: dict[int, Reply] = {}
        self.is_held = False
        """Nobody has answered in time, and any answer is news."""
        self._next: tuple[str, ...] = ()  # digests that nodes are to prepare for

    # From the wire -----------------------------------------------------------------------------------------------

    def join(
        self, member: Member, *, protocol_version: int, greeting: pb.CoordinatorMessage, resumes: bool = False
    ) -> Session:
        session = super().join(member, protocol_version=protocol_version, greeting=greeting, resumes=resumes)
        if self._next:
            self._ask_to_prepare(session)
        return session

    def on_message(self, session: Session) -> None:
        """Before anything else of a message.  Raises MessageError if there are too many."""
        session.sent_this_step += 1
        if session.sent_this_step > MESSAGES_PER_STEP:
            raise MessageError(f"slot {session.slot} sent more than {MESSAGES_PER_STEP} messages in one step")

    def on_connected(self, session: Session, peers: frozenset[int]) -> None:
        session.connected = peers
        self._review()
        self._changed.set()

    def on_act(self, session: Session, act: wire.Act) -> None:
        """Raises MessageError if a reported latent cannot be decoded, or nobody asked the node for this step."""
        if (act.episode, act.step) != session.outstanding:
            owed = "none" if session.outstanding is None else "one for episode {} step {}".format(*session.outstanding)
            raise MessageError(
                f"slot {session.slot} sent an act for episode {act.episode} step {act.step}, but owes {owed}"
            )
        latent = self.codec.unpack(act.latent) if self.codec is not None and act.latent else None
        session.outstanding = session.agent_input = None
        if session not in self._awaited:
            self.stale_acts += 1
            logger.warning("stale act slot=%d episode=%d step=%d", session.slot, act.episode, act.step)
            self._changed.set()
            return
        self._replies[session.slot] = Reply(
            action=act.action, latent=latent, masked=act.masked, waited_s=act.waited_s, computed_s=act.computed_s
        )
        self._awaited.discard(session)
        # Waking the loop once per step, not once per answer, matters with 25 nodes.
        if not self._awaited or self.is_held:
            self._changed.set()

    def on_counters(self, session: Session, counters: Mapping[int, LinkCounters]) -> None:
        session.counters, session.owes_counters = counters, False
        self._changed.set()

    def on_prepared(self, session: Session, digest: str, reason: str) -> None:
        """An answer that comes when others are asked for, or nobody is asked any more, does not count."""
        if self._next and digest == self._next[session.slot]:
            session.prepared = reason[:MAX_REASON]
            self._changed.set()

    # From the run ------------------------------------------------------------------------------------------------

    @property
    def unresponsive(self) -> tuple[int, ...]:
        """Live slots that owe an answer to a step that is not being waited for any more."""
        return tuple(
            slot
            for slot in self.live
            if self._sessions[slot].outstanding is not None and self._sessions[slot] not in self._awaited
        )

    @property
    def responsive(self) -> tuple[int, ...]:
        """Live slots that will be sent the next agent input."""
        return tuple(slot for slot in self.live if slot not in self.unresponsive)

    def missing_links(self) -> list[tuple[int, int]]:
        """Pairs of slots (i, j), i < j, that have no stream both of them call up."""
        return [
            (low, high)
            for low in range(self.size)
            for high in range(low + 1, self.size)
            if not (self._reaches(low, high) and self._reaches(high, low))
        ]

    async def wait_for_all(self, *, timeout_s: float) -> None:
        """Wait until every slot has a live node.  Raises NodeFailed, with the slots that have none."""
        if not await self.wait_until(lambda: len(self.live) == self.size, timeout_s=timeout_s):
            absent = sorted(set(range(self.size)) - set(self.live))
            raise NodeFailed(
                f"no node joined within {timeout_s:g} s for slots {absent}",
                remedy="Look into their logs, or start them with `heliograph node --coordinator … --slot …`",
            )

    def ask(self, views: Iterable[View | None], *, episode: int, step: int, message_deadline_s: float) -> None:
        """Send each live, responsive node its agent input of this step."""
        self._asked, self._replies, self._awaited, self.is_held = (episode, step), {}, set(), False
        self.steps += 1
        for view in views:
            session = None if view is None else self._sessions.get(view.slot)
            if view is None or session is None or session.outstanding is not None:
                continue
            # A node that missed a step cannot know what happened meanwhile, so it starts afresh, alone.
            first = session.last_agent_input != (episode, step - 1)
            agent_input = wire.agent_input(
                view, episode=episode, step=step, first=first, message_deadline_s=message_deadline_s
            )
            session.ask(agent_input, episode=episode, step=step)
            self._awaited.add(session)

    async def replies(self, *, timeout_s: float) -> dict[int, Reply]:
        """Wait for the answers to `ask`: until all are there, or their nodes are dead, or the time is over, which
        begins anew after a pause.

        A step that nobody at all has answered is held a little longer, since then nobody may have been asked; what the
        first answer finds is a team that can be reached again, in which the others have their time as well.
        """
        is_over = await self._wait_and_pause(lambda: not self._awaited, timeout_s=timeout_s)
        if not is_over and not self._replies:
            logger.warning("no act at all in time episode=%d step=%d", *self._asked or (-1, -1))
            self.is_held = True
            self._changed.set()
            if await self._wait_and_pause(lambda: bool(self._replies) or not self._awaited, timeout_s=SILENCE_S):
                await self._wait_and_pause(lambda: not self._awaited, timeout_s=timeout_s)
        if self._awaited:
            logger.warning(
                "no act in time episode=%d step=%d slots=%s", *self._asked or (-1, -1), [s.slot for s in self._awaited]
            )
        self._awaited = set()
        return self._replies

    async def _wait_and_pause(self, predicate: Callable[[], bool], *, timeout_s: float) -> bool:
        """`wait_until`, whose time begins anew after a pause."""
        while not await self.wait_until(lambda: predicate() or self.is_paused, timeout_s=timeout_s) or not predicate():
            if not self.is_paused:
                return False
            await self.reunite()
        return True

    async def reading(self) -> Reading:
        """Read all counters once what was sent has arrived.

        Nodes that do not answer in time are left out, and what they counted is unknown.
        """
        loop = asyncio.get_running_loop()
        # After a stop in the middle of a step, its answers are still to come.
        await self.wait_until(lambda: not self._awaited, timeout_s=LAST_STEP_DEADLINE_S)
        self._awaited = set()
        settled_at = math.inf
        while True:
            reports = await self._reports()
            # From the first answers on, before which the senders had not flushed.
            settled_at = min(settled_at, loop.time() + SETTLE_DEADLINE_S)
            links = tuple(balance(reports, team_size=self.size, unknown=self.roster.replaced))
            if not any(link.missing for link in links) or loop.time() >= settled_at:
                silent = {
                    slot: session.member.instance for slot, session in self._sessions.items() if slot not in reports
                }
                contradicted = disputes(reports, unknown=self.roster.replaced)
                for (sender, receiver), why in contradicted.items():
                    logger.warning("counts disagree sender=%d receiver=%d why=%r", sender, receiver, why)
                return Reading(
                    reports=reports, links=links, seen=self.roster.seen, silent=silent, disputes=contradicted
                )
            # The last messages were sent before their senders answered, but may still be on their way.
            await asyncio.sleep(SETTLE_INTERVAL_S)

    async def _reports(self) -> dict[int, NodeReport]:
        asked = [session for session in self._sessions.values() if session.outstanding is None]
        for session in asked:
            session.ask_counters()
        await self.wait_until(
            lambda: not any(session.owes_counters for session in asked if self._is_live(session)),
            timeout_s=COUNTERS_DEADLINE_S,
        )
        return {
            session.slot: NodeReport(instance=session.member.instance, links=session.counters)
            for session in asked
            if session.counters is not None and self._is_live(session)
        }

    async def prepare(self, digests: Sequence[str], *, timeout_s: float) -> dict[int, str]:
        """Have every node load the bundle of its slot; who cannot, or does not say in time, and why.  Empty: all have.

        Also asks who joins meanwhile.  Who owes an answer to a step is asked as well, and not waited for.
        """
        self._next = tuple(digests)
        for session in self._sessions.values():
            self._ask_to_prepare(session)
        try:
            await self.wait_until(lambda: bool(self._unable()) or not self._unprepared(), timeout_s=timeout_s)
            return self._unable() or {slot: f"did not answer within {timeout_s:g} s" for slot in self._unprepared()}
        finally:
            self._next = ()

    def switch(self, digests: Sequence[str], *, coding: Coding) -> None:
        """Tell every node to go on with the bundle that it has prepared."""
        self.roster.switch(digests)
        members = self.roster.members
        for member in members:
            session = self._sessions[member.slot]
            session.member, session.connected = member, frozenset()
            told = [self._as_seen_by(member.slot, other) for other in members]
            session.outbox.put_nowait(wire.switch(digest=member.bundle_digest, coding=coding, members=told))

    async def dismiss(self, reason: str, *, timeout_s: float) -> bool:
        """Tell every node to leave and wait for it; false if one is still there after the time."""
        self._dismissing = True
        for session in list(self._sessions.values()):
            if session.is_cut:
                self._give_up(session, "the run is over")
                continue
            session.outbox.put_nowait(wire.shutdown(reason))
            session.outbox.put_nowait(None)
        return await self.wait_until(lambda: not self._sessions, timeout_s=timeout_s)

    def _give_up(self, session: Session, reason: str) -> None:
        self._awaited.discard(session)
        super()._give_up(session, reason)

    def _ask_to_prepare(self, session: Session) -> None:
        session.prepared = None
        session.outbox.put_nowait(wire.prepare(self._next[session.slot]))

    def _unable(self) -> dict[int, str]:
        return {slot: session.prepared for slot, session in sorted(self._sessions.items()) if session.prepared}

    def _unprepared(self) -> list[int]:
        return [slot for slot in self.responsive if self._sessions[slot].prepared is None]

    def _reaches(self, slot: int, peer: int) -> bool:
        return slot in self._sessions and peer in self._sessions[slot].connected
