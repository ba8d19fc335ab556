"""Whole episodes of a team in one process: one after another, or side by side in several such processes.

An episode depends on its number and the plan alone, so both ways play the same ones.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from coordinator.observers.observers import NO_OBSERVERS, Observers
from coordinator.plan.plan import Plan
from coordinator.plan.settings import PERMUTED
from coordinator.running.in_process import LocalEpisode, LocalTeam, SentMessages
from coordinator.world.frames import FilmedWorld
from coordinator.world.trajectory import Observer, StepRecord
from coordinator.world.world import EpisodeLost, World
from heliograph.environments.vector import LOST_EPISODE_REPEATS
from heliograph.errors import WorldError
from heliograph.spawning import away_from_the_current_folder, begin

logger = logging.getLogger(__name__)

CANCELLED_WITHIN_S = 2.0
"""How long the pool may take to cancel what has not begun; it does nothing else then."""

WholeEpisode = tuple[LocalEpisode, list[StepRecord]]
"""What came of it, and its steps, if the plan records them."""


@dataclass(frozen=True, kw_only=True)
class _TeamAndWorld:
    """A team and its world under one condition of a plan."""

    plan: Plan
    name: str
    team: LocalTeam
    world: World
    observe: Observer | None
    elsewhere: World | None
    """Where the episodes are played whose messages are heard in others."""

    @classmethod
    def build(
        cls,
        plan: Plan,
        name: str,
        observers: Observers = NO_OBSERVERS,
        undrawn: Callable[[str], None] = lambda _cause: None,
    ) -> _TeamAndWorld:
        team = LocalTeam(
            plan.bundles,
            run_seed=plan.run_seed,
            greedy=plan.greedy,
            late_policy=plan.late_policy,
            codec=plan.codec,
        )
        world = plan.world(name)
        if plan.frames is not None:
            several = len(plan.conditions) > 1
            world = FilmedWorld(world, film=plan.frames, name=name, several=several, undrawn=undrawn)
        observers.begin(name, world)
        elsewhere = plan.world(name) if name == PERMUTED else None
        return cls(plan=plan, name=name, team=team, world=world, observe=observers.observer(name), elsewhere=elsewhere)

    def close(self) -> None:
        with ExitStack() as stack:
            for world in (self.world, self.elsewhere):
                if world is not None:
                    stack.callback(world.environment.close)

    def run(self, episode: int) -> WholeEpisode:
        """Run an episode, again from its start if it is lost with its simulator."""
        recorded = self.plan.record is not None
        for attempt in range(1 + LOST_EPISODE_REPEATS):
            steps: list[StepRecord] = []
            observers = [each for each in (steps.append if recorded else None, self.observe) if each is not None]
            try:
                sent = self._sent_elsewhere(episode)
                return self.team.run_episode(
                    self.world,
                    episode=episode,
                    observe=_all_of(observers),
                    report_latents=bool(observers),
                    exchange=None if sent is None else sent.in_place_of,
                ), steps
            except EpisodeLost as lost:
                logger.warning("episode lost episode=%d attempt=%d cause=%s", episode, attempt + 1, lost)
        raise WorldError(
            f"episode {episode} was lost {1 + LOST_EPISODE_REPEATS} times with the simulator of {self.world.spec.id!r}",
            remedy="An episode that its simulator cannot finish is no fault of the team's; report it with its seed",
        )

    def _sent_elsewhere(self, episode: int) -> SentMessages | None:
        """What is heard in an episode in place of what is sent in it."""
        if self.elsewhere is None:
            return None
        sent = SentMessages()
        self.team.run_episode(self.elsewhere, episode=self.plan.donor(self.name, episode), exchange=sent.keep)
        return sent


def _all_of(observers: Sequence[Observer]) -> Observer | None:
    if len(observers) < 2:
        return observers[0] if observers else None

    def observe(record: StepRecord) -> None:
        for observer in observers:
            observer(record)

    return observe


@contextmanager
def whole_episodes(
    plan: Plan,
    name: str,
    *,
    jobs: int,
    observers: Observers = NO_OBSERVERS,
    undrawn: Callable[[str], None] = lambda _cause: None,
) -> Iterator[Iterator[WholeEpisode]]:
    """The episodes of a condition, in order, run as they are asked for; `jobs` at a time, or one if they are observed
    or filmed.  `undrawn` is told why there is no film.

    Raises BundleError or WorldError as a team and its world do.
    """
    numbers = range(plan.first_episode(name), plan.first_episode(name) + plan.episodes)
    if jobs == 1:
        runner = _TeamAndWorld.build(plan, name, observers, undrawn)
        with closing(runner):
            yield map(runner.run, numbers)
        return
    context = multiprocessing.get_context("spawn")  # a fork would take the threads of simulators along
    theirs, lifeline = context.Pipe(duplex=False)
    with away_from_the_current_folder():  # the pool starts a process when it is made, and the others when it is asked
        pool = ProcessPoolExecutor(
            min(jobs, plan.episodes), mp_context=context, initializer=_begin, initargs=(plan, name, theirs)
        )
    episodes: deque[Future[WholeEpisode]] = deque()
    try:
        # Of many episodes the first may hold a process up, and Ctrl-C come, before the last is handed out.
        with away_from_the_current_folder():
            for number in numbers:
                episodes.append(pool.submit(_run, number))
        yield _in_order(episodes)
    finally:
        # What waits is taken back before the processes die: a pool that breaks tells every future that it still holds,
        # and fails at one that is cancelled already.  The last one is cancelled when all are.
        pool.shutdown(wait=False, cancel_futures=True)
        wait([episode for episode in episodes if not episode.running()][-1:], timeout=CANCELLED_WITHIN_S)
        lifeline.close()  # which ends them even amid an episode
        theirs.close()


def _in_order(episodes: deque[Future[WholeEpisode]]) -> Iterator[WholeEpisode]:
    """Their results, each let go of once it is told."""
    while episodes:
        yield episodes.popleft().result()


_plan_and_condition: tuple[Plan, str] | None = None
_runner: _TeamAndWorld | None = None
"""Of a process of the pool; the runner is built with its first episode, because errors get through from there alone."""


def _begin(plan: Plan, name: str, lifeline: Connection) -> None:
    global _plan_and_condition
    begin()
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its pool
    _plan_and_condition = plan, name


def _end_with(lifeline: Connection) -> None:
    """Wait until the parent lets go of its end; then end this process, whatever its world is doing."""
    with suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(0)


def _run(episode: int) -> WholeEpisode:
    global _runner
    assert _plan_and_condition is not None
    if _runner is None:
        _runner = _TeamAndWorld.build(*_plan_and_condition)
    return _runner.run(episode)
