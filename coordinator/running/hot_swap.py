"""Which bundles play which episodes: those of the plan and, where a run is followed, newer ones from some episode on.

Imported by `rollout`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

from coordinator.plan.plan import Plan
from coordinator.running.newer_bundles import Following, NewerBundles
from coordinator.running.report import Version
from coordinator.serving.server import CoordinationServer
from coordinator.serving.team import Team
from coordinator.world.world import World
from heliograph import codecs
from heliograph.bundle import Bundle

logger = logging.getLogger(__name__)

PREPARE_DEADLINE_S = 30.0
"""How long nodes may take to fetch and load a newer bundle; meanwhile nobody plays."""


class Versions:
    """`used` is told which bundles act from which episode on; `following` None: that never changes.

    `worlds` are those of the plan; `on_switch` is called with bundles that the team has switched to.
    """

    def __init__(
        self,
        following: Following | None,
        plan: Plan,
        worlds: Iterable[World],
        *,
        connect_timeout_s: float,
        on_switch: Callable[[Sequence[Bundle]], None],
    ) -> None:
        self._plan, self._worlds, self._on_switch = plan, tuple(worlds), on_switch
        self._connect_timeout_s = connect_timeout_s
        self._newer = None if following is None else NewerBundles(following, plan, self._worlds[0].spec)
        self._current: tuple[Bundle, ...] = plan.bundles
        self.used = [Version.of(plan.bundles, first_episode=0)]

    async def before(self, episode: int, server: CoordinationServer) -> None:
        """Have the team go on with newer bundles from this episode on, if there are any and every node can."""
        if self._newer is not None:
            # In a thread: a disk may be slow, and nodes are to get their keepalives.
            newer = await asyncio.to_thread(self._newer.look, self._current)
            if newer is not None:
                await self._hand_on(newer, episode, server)

    async def _hand_on(self, newer: tuple[Bundle, ...], episode: int, server: CoordinationServer) -> None:
        team, training_step = server.team, newer[0].manifest.training_step
        linked = _links(team)
        # Streams are made again: what is still on its way over the old ones arrives first.
        await team.reading()
        unable = await server.hand_on(newer, timeout_s=PREPARE_DEADLINE_S)
        if unable:
            reasons = "; ".join(f"slot {slot} ({newer[slot].digest[:12]}): {why}" for slot, why in unable.items())
            logger.warning("nobody has switched episode=%d training_step=%d reason=%r", episode, training_step, reasons)
            return
        self._current = newer
        if self.used[-1].first_episode == episode:
            del self.used[-1]
        self.used.append(Version.of(newer, first_episode=episode))
        message = newer[0].manifest.message
        for world in self._worlds:
            world.codec = None if message is None else codecs.make(self._plan.codec, message, newer[0].tables)
        self._on_switch(newer)
        digests = [bundle.digest[:12] for bundle in newer]
        logger.info("switched bundles episode=%d training_step=%d digests=%s", episode, training_step, digests)

        def awaited() -> set[tuple[int, int]]:
            return linked & set(combinations(team.responsive, 2)) - _links(team)

        if not await team.wait_until(lambda: not awaited(), timeout_s=self._connect_timeout_s):
            logger.warning("going on without streams between pairs=%s", sorted(awaited()))


def _links(team: Team) -> set[tuple[int, int]]:
    """Pairs of slots whose stream is up."""
    return set(combinations(range(team.size), 2)) - set(team.missing_links())
