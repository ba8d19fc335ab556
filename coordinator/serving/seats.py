"""The seats of a team: whose node is there, which is cut off and waited for, and who is dead.

Lives on one event loop; the base of `coordinator.serving.team`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from coordinator.serving import wire
from coordinator.serving.cuts import Cut
from coordinator.serving.roster import Member, Roster
from coordinator.serving.session import Outbox, Session
from heliograph import log
from heliograph.errors import NodeFailed, SlotTaken
from heliograph.pb import coordination_pb2 as pb

logger = logging.getLogger(__name__)

KILLED_WITHIN_S = 0.1
"""A killed process is lost to its peers within milliseconds; what is shorter than this is not told as a pause."""

ANNOUNCE_AFTER_S = 0.02
"""How long after a roster the next one waits, per slot, while a team comes together: each goes to all and names all, so
that one for each node that joins would keep a coordinator of sixty-four busy for seconds."""


class Seats:
    """A node whose call breaks keeps its seat for `rejoin_s`, and the world is paused, while one of the others still
    has a stream with it, or nobody is there to tell: it is cut off.  One that its peers have lost as well is dead, and
    the team goes on without it.
    """

    def __init__(self, roster: Roster, *, address_of: Callable[[int, Member], str], rejoin_s: float) -> None:
        self.roster = roster
        self.size = roster.team_size
        self.rejoin_s = rejoin_s
        self.departures: Counter[int] = Counter()
        """By slot: nodes that left before they were told to."""
        self.cuts: list[Cut] = []
        self.paused_s = 0.0
        """How long the world has been paused in all."""
        self._address_of = address_of
        self._sessions: dict[int, Session] = {}  # also of nodes that are cut off
        self._deserted_at = -math.inf  # when the last live node was lost
        self._dismissing = False
        self._announced_at = -math.inf  # of the newest roster
        self._due: asyncio.TimerHandle | None = None  # once more, as it is then
        self._changed = asyncio.Event()

    def join(
        self, member: Member, *, protocol_version: int, greeting: pb.CoordinatorMessage, resumes: bool = False
    ) -> Session:
        """Admit a node: it is sent the greeting, then everybody the new roster.  Raises what `Roster.check` raises.

        One that `resumes` and still has its seat takes it again, over a new call; nobody else is told.
        """
        self.roster.check(member, protocol_version=protocol_version)
        seat = self._sessions.get(member.slot)
        if seat is not None and resumes and seat.member == member:
            self._take_back(seat, greeting)
            return seat
        if seat is not None and not seat.is_cut:
            raise SlotTaken(f"slot {member.slot} is held by a live node at {seat.member.peer_address}")
        if seat is not None:
            self._give_up(seat, "its slot has a new node")
        self.roster.admit(member, counts_on=resumes)
        session = Session(member=member)
        self._sessions[member.slot] = session
        session.outbox.put_nowait(greeting)
        logger.log(
            logging.WARNING if self.departures[member.slot] else logging.INFO,
            "node joined slot=%d address=%s instance=%s",
            *(member.slot, member.peer_address, member.instance),
        )
        self._announce()
        return session

    def part(self, session: Session, call: Outbox) -> None:
        """A node's call has ended, whatever the reason; the node may have made another one meanwhile."""
        if session.outbox is not call or not self._is_seated(session):
            return
        session.close()
        session.cut_at = asyncio.get_running_loop().time()
        if self._dismissing:
            self._give_up(session, "the run is over")
            return
        self._count_down()
        self._review()

    def expel(self, session: Session, call: Outbox) -> None:
        """A node has broken the protocol: it has no seat to come back to."""
        if session.outbox is call and self._is_seated(session):
            session.close()
            self._give_up(session, "it broke the protocol")
            self._count_down()

    @property
    def live(self) -> tuple[int, ...]:
        """Slots whose node can be talked to now."""
        return tuple(sorted(slot for slot, session in self._sessions.items() if not session.is_cut))

    @property
    def seated(self) -> tuple[int, ...]:
        """Slots whose node is there or cut off."""
        return tuple(sorted(self._sessions))

    @property
    def cut_off(self) -> tuple[int, ...]:
        """Slots whose node is to be waited for: the world is paused meanwhile."""
        return tuple(sorted(slot for slot, session in self._sessions.items() if session.is_cut))

    @property
    def is_paused(self) -> bool:
        """Somebody is cut off, or nobody has been there for less than the grace: whoever comes can go on."""
        return bool(self.cut_off) or (not self.live and self._is_worth_waiting_for(self._deserted_at))

    async def wait_until(self, predicate: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait until `predicate`, checked whenever something changes, holds; false if it does not in time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not predicate():
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return predicate()
        return True

    async def reunite(self) -> None:
        """Return once nobody is cut off: they are back, or dead to their peers too, or the grace is over.

        Raises NodeFailed if nobody is left then.
        """
        await self.pause()
        if not self.live:
            place = log.here()
            where = "" if place.episode is None else f" in episode {place.episode} at step {place.step}"
            raise NodeFailed(
                f"every node is gone{where}, and none came back within {self.rejoin_s:g} s",
                remedy="Look into their logs, and at the network between them and this coordinator",
            )

    async def pause(self) -> None:
        """`reunite`, whoever is left then."""
        if not self.is_paused:
            return
        loop, place = asyncio.get_running_loop(), log.here()
        began, absent, told = loop.time(), set[int](), set[int]()
        while self.is_paused:
            absent |= set(self.cut_off or range(self.size))
            # Whoever was killed is lost to its peers within milliseconds, and nothing was paused for it.
            noticed = loop.time() - began >= KILLED_WITHIN_S
            if noticed and absent - told:
                told |= absent
                logger.warning("world paused cut_off=%s for_at_most_s=%g", sorted(absent), self.rejoin_s)
            self._changed.clear()
            try:
                async with asyncio.timeout(None if noticed else KILLED_WITHIN_S):
                    await self._changed.wait()
            except TimeoutError:
                continue
        seconds, back = loop.time() - began, absent & set(self.live)
        self.paused_s += seconds
        if told or back:
            logger.warning("world goes on seconds=%.1f back=%s lost=%s", seconds, sorted(back), sorted(absent - back))
        if back or seconds >= self.rejoin_s:
            self.cuts.append(
                Cut(
                    episode=place.episode,
                    step=place.step,
                    slots=tuple(sorted(absent)),
                    back=tuple(sorted(back)),
                    seconds=seconds,
                )
            )

    def _take_back(self, session: Session, greeting: pb.CoordinatorMessage) -> None:
        session.reopen(greeting, self._roster_for(session.slot))
        logger.info("node back slot=%d instance=%s", session.slot, session.member.instance)
        self._changed.set()

    def _count_down(self) -> None:
        """A call has ended; look again when the grace is over."""
        loop = asyncio.get_running_loop()
        if not self.live:
            self._deserted_at = loop.time()
        # A little later, so that the time is over by the clock that is asked then.
        loop.call_later(self.rejoin_s + 0.01, self._review)

    def _review(self) -> None:
        """Give up whom nobody who is there can hear any more, and who was away for too long."""
        there = [session for session in self._sessions.values() if not session.is_cut]
        for session in [session for session in self._sessions.values() if session.is_cut]:
            assert session.cut_at is not None
            if not self._is_worth_waiting_for(session.cut_at):
                self._give_up(session, f"it did not come back within {self.rejoin_s:g} s")
            elif there and not any(session.slot in other.connected for other in there):
                self._give_up(session, "its peers have lost it, too")
        self._changed.set()

    def _give_up(self, session: Session, reason: str) -> None:
        self.roster.remove(session.member)
        del self._sessions[session.slot]
        level = logging.INFO
        if not self._dismissing:
            # Its peers mask it from here on, which whoever looks on must be able to see.
            level = logging.WARNING
            self.departures[session.slot] += 1
        logger.log(level, "node left slot=%d instance=%s reason=%r", session.slot, session.member.instance, reason)
        self._announce()

    def _is_worth_waiting_for(self, since: float) -> bool:
        return asyncio.get_running_loop().time() < since + self.rejoin_s

    def _announce(self) -> None:
        """Send everybody the roster: at once if the team is whole or the last is a while ago, else once it is."""
        self._changed.set()
        if self._dismissing:  # whoever leaves has no use for it
            return
        loop = asyncio.get_running_loop()
        earliest = self._announced_at + ANNOUNCE_AFTER_S * self.size
        if len(self._sessions) == self.size or loop.time() >= earliest:
            self._send_roster()
        elif self._due is None:
            self._due = loop.call_at(earliest, self._send_roster)

    def _send_roster(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due, self._announced_at = None, asyncio.get_running_loop().time()
        same = wire.roster(self.roster.members)
        for slot, session in self._sessions.items():
            if not session.is_cut:
                session.outbox.put_nowait(self._roster_for(slot, same))

    def _roster_for(self, slot: int, same: pb.CoordinatorMessage | None = None) -> pb.CoordinatorMessage:
        """`same` is that of those to whom every member has the address that it gives."""
        members = self.roster.members
        seen = [self._as_seen_by(slot, member) for member in members]
        if same is not None and all(one is other for one, other in zip(seen, members, strict=True)):
            return same
        return wire.roster(seen)

    def _as_seen_by(self, slot: int, member: Member) -> Member:
        address = member.peer_address if member.slot == slot else self._address_of(slot, member)
        return member if address == member.peer_address else replace(member, peer_address=address)

    def _is_seated(self, session: Session) -> bool:
        return self._sessions.get(session.slot) is session

    def _is_live(self, session: Session) -> bool:
        return self._is_seated(session) and not session.is_cut
