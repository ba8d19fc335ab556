"""The loop of an episode: observations out, actions in, at a pace that no node can stop."""

from __future__ import annotations

import time

from coordinator.plan.clock import Clock
from coordinator.plan.pace import Pace
from coordinator.serving.team import Team
from coordinator.world.trajectory import EpisodeResult, Observer, Tally, latents_of
from coordinator.world.world import World
from heliograph import log


# Seven parameters: what an episode is of, each of which a run, an audit and a test choose by itself.
async def run_episode(
    team: Team,
    world: World,
    *,
    episode: int,
    seed: int,
    pace: Pace,
    clock: Clock,
    observe: Observer | None = None,
) -> EpisodeResult:
    """Run one episode; `observe` is told of every step, with the messages that nodes report.

    A node that does not answer gets the idle action and is not waited for again until it does; while one is cut off,
    the world is paused.

    Raises NodeFailed if every node is gone and none comes back within the team's grace.
    """
    categoricals = team.codec.categoricals if observe is not None and team.codec is not None else None
    tally = Tally(episode=episode, seed=seed, world=world, observe=observe, categoricals=categoricals)
    place = log.here()
    views = world.reset(seed)
    step = 0
    while True:
        place.episode, place.step = episode, step
        await clock.tick()
        await _somebody(team, timeout_s=pace.action_deadline_s)
        # Not the loop's clock: uvloop's counts whole milliseconds.
        asked_ns, started, paused_s = time.time_ns(), time.perf_counter(), team.paused_s
        team.ask(views, episode=episode, step=step, message_deadline_s=pace.message_deadline_s)
        replies = await team.replies(timeout_s=pace.action_deadline_s)
        latency_s = max(0.0, time.perf_counter() - started - (team.paused_s - paused_s))
        if not replies:  # a step without anybody is none, if they were lost while they were asked
            await team.reunite()
        actions = tally.actions(replies)
        advance = world.advance(actions, latents_of(replies))
        tally.add(
            views=views,
            replies=replies,
            actions=actions,
            reward=advance.reward,
            asked_ns=asked_ns,
            latency_s=latency_s,
        )
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
