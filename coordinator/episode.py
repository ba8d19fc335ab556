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
from heliograph.errors import SettingsError


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
    """Play one episode.  A node that does not answer gets the idle action and is not waited for again until it does;
    while one is cut off, the world is paused.

    Raises NodeFailed if every node is gone and none comes back within the team's grace.
    """
    categoricals = team.codec.categoricals if report_latents and team.codec is not None else None
    tally = Tally(episode=episode, seed=seed, world=world, observe=observe, categoricals=categoricals)
    place = log.here()
    views = world.reset(seed)
    step = 0
    while True:
        place.episode, place.step = episode, step
        await clock.tick()
        await _somebody(team, timeout_s=pace.action_deadline_s)
        # Not the loop's clock: uvloop's counts whole milliseconds.
        started, paused_s = time.perf_counter(), team.paused_s
        team.ask(views, episode=episode, step=step, message_deadline_s=pace.message_deadline_s)
        replies = await team.replies(timeout_s=pace.action_deadline_s)
        latency_s = max(0.0, time.perf_counter() - started - (team.paused_s - paused_s))
        if not replies:  # a step without anybody is none, if they were lost while they were asked
            await team.reunite()
        actions = tally.actions(replies)
        advance = world.advance(actions, latents_of(replies))
        tally.add(views=views, replies=replies, actions=actions, reward=advance.reward, latency_s=latency_s)
        if advance.over:
            place.episode = place.step = None
            return tally.result(advance.outcome)
        views, step = advance.views, step + 1


async def _somebody(team: Team, *, timeout_s: float) -> None:
    """Return once nobody is cut off and somebody will answer, or all have been waited for: without anybody to wait for,
    idle actions would rush through the run while nodes are stopped."""
    while True:
        await team.reunite()
        await team.wait_until(lambda: bool(team.responsive) or team.is_paused, timeout_s=timeout_s)
        if not team.is_paused:
            return
