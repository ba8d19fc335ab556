"""The world loop: percepts out, acts in, at a pace that no node can stop."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from coordinator.team import Team
from coordinator.trajectory import EpisodeResult, Observer, Tally, latents_of
from coordinator.world import World
from heliograph import log
from heliograph.errors import NodeFailed, SettingsError


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long to wait for what, and when steps start."""

    action_deadline_s: float = 5.0
    """From sending the percepts; then the world goes on without the missing actions."""
    message_deadline_s: float = 1.0
    """How long each node waits for its peers' messages."""
    period_s: float | None = None
    """Steps start on multiples of this on the coordinator's clock; None: as soon as the step before is done."""

    def __post_init__(self) -> None:
        for name in ("action_deadline_s", "message_deadline_s", "period_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SettingsError(f"{name} must be a positive number of seconds, not {value}")
        if self.message_deadline_s >= self.action_deadline_s:
            raise SettingsError(
                f"message_deadline_s {self.message_deadline_s:g} must be shorter than "
                f"action_deadline_s {self.action_deadline_s:g}",
                remedy="A node acts only after it has waited for its messages",
            )


class Clock:
    """The common grid on which steps start: nodes paced by their own timers drift apart and mask one another."""

    def __init__(self, period_s: float | None) -> None:
        self._period_s = period_s
        self._origin: float | None = None

    async def tick(self) -> None:
        """Wait for the next grid point; a step that took longer skips to the one after it."""
        if self._period_s is None:
            return
        now = time.monotonic()
        if self._origin is None:
            self._origin = now
            return
        periods = math.floor((now - self._origin) / self._period_s) + 1
        await asyncio.sleep(self._origin + periods * self._period_s - now)


async def play(
    team: Team,
    world: World,
    *,
    episode: int,
    seed: int,
    pace: Pace,
    clock: Clock,
    observe: Observer | None = None,
    report_latents: bool = False,
) -> EpisodeResult:
    """Play one episode.  A node that does not answer gets the idle action and is not waited for again until it does.

    Raises NodeFailed if every node is gone.
    """
    categoricals = team.codec.categoricals if report_latents and team.codec is not None else None
    tally = Tally(episode=episode, seed=seed, world=world, observe=observe, categoricals=categoricals)
    place = log.here()
    views = world.reset(seed)
    step = 0
    while True:
        place.episode, place.step = episode, step
        await clock.tick()
        # Without anybody to wait for, idle actions would rush through the run while a node restarts or resumes.
        if not await team.wait_until(lambda: bool(team.responsive), timeout_s=pace.action_deadline_s) and not team.live:
            raise NodeFailed(f"every node is gone in episode {episode} at step {step}")
        # Not the loop's clock: uvloop's counts whole milliseconds.
        started = time.perf_counter()
        team.ask(views, episode=episode, step=step, message_deadline_s=pace.message_deadline_s)
        replies = await team.replies(timeout_s=pace.action_deadline_s)
        latency_s = time.perf_counter() - started
        actions = tally.actions(replies)
        advance = world.advance(actions, latents_of(replies))
        tally.add(views=views, replies=replies, actions=actions, reward=advance.reward, latency_s=latency_s)
        if advance.over:
            place.episode = place.step = None
            return tally.result(advance.outcome)
        views, step = advance.views, step + 1
