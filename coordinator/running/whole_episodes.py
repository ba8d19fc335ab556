"""Whole episodes of a team in one process: one after another, or side by side in several such processes.

An episode depends on its number and the plan alone, so both ways play the same ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

from coordinator.observers.observers import NO_OBSERVERS, Observers
from coordinator.plan.plan import Plan
from coordinator.plan.settings import PERMUTED
from coordinator.running.in_process import LocalEpisode, LocalTeam, SentMessages
from coordinator.running.worker_pool import Answered, Died, ReportProgress, side_by_side
from coordinator.world.frames import FilmedWorld
from coordinator.world.trajectory import Observer, StepRecord
from coordinator.world.world import EpisodeLost, World
from heliograph.environments.vector import LOST_EPISODE_REPEATS
from heliograph.errors import HeliographError, WorldError

logger = logging.getLogger(__name__)

EPISODES_AHEAD = 4
"""How many a process holds at once: one can take less time than handing out the next."""

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
    with closing(_side_by_side(plan, name, numbers, jobs=min(jobs, plan.episodes))) as episodes:
        yield episodes


def _side_by_side(plan: Plan, name: str, numbers: range, *, jobs: int) -> Generator[WholeEpisode, None, None]:
    """Episodes in order; what one raised is raised in its turn."""
    found: dict[int, WholeEpisode | HeliographError] = {}
    due = numbers.start
    with closing(side_by_side(numbers, partial(_run, plan, name), jobs=jobs, ahead=EPISODES_AHEAD)) as events:
        for event in events:
            if isinstance(event, Died):
                found[event.piece] = WorldError(
                    f"the process that ran episode {event.piece} {event.cause}",
                    remedy="What it said is above; signal 9 is what a machine without memory sends: try fewer --jobs",
                )
            elif isinstance(event, Answered):
                found[event.piece] = event.answer
            while due in found:
                episode = found.pop(due)
                if isinstance(episode, HeliographError):
                    raise episode
                yield episode
                due += 1


_runner: _TeamAndWorld | None = None
"""Of a worker, built with its first episode."""


def _run(plan: Plan, name: str, episode: int, _report: ReportProgress) -> WholeEpisode | HeliographError:
    """An episode in a worker; an error that a user can mend is an answer, too, which the parent raises."""
    global _runner
    try:
        if _runner is None:
            _runner = _TeamAndWorld.build(plan, name)
        return _runner.run(episode)
    except HeliographError as error:
        return error
