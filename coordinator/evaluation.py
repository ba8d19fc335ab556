"""Evaluates a team in one process and sums it up like a run of processes."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from coordinator.filming import FilmedWorld
from coordinator.local import LocalEpisode, LocalTeam
from coordinator.outcome import summarise
from coordinator.plan import LABELS, Plan
from coordinator.progress import Progress
from coordinator.recording import Recorder
from coordinator.report import Report
from coordinator.trajectory import EpisodeResult, StepRecord
from coordinator.world import EpisodeLost, World
from heliograph.environments.vector import LOST_EPISODE_REPEATS, EnvironmentSpec
from heliograph.errors import WorldError

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class PlayedPass:
    """What was played of a pass; it grows while the pass is played."""

    name: str
    spec: EnvironmentSpec
    results: list[EpisodeResult] = field(default_factory=list)
    messages: int = 0
    seconds: float = 0.0


def evaluate(plan: Plan) -> Report:
    """Play the plan's passes; after Ctrl-C the report holds what was finished and says so."""
    played: list[PlayedPass] = []
    interrupted = False
    try:
        play(plan, played)
    except KeyboardInterrupt:
        interrupted = True
    spec = played[0].spec if played else plan.world(plan.passes[0]).spec
    summaries = [
        summarise(
            part.results,
            label=LABELS[part.name],
            spec=part.spec,
            manifest=plan.manifest,
            seconds=part.seconds,
            messages=part.messages,
        )
        for part in played
        if part.results
    ]
    team_name = f"{len(plan.bundles)} agents in one process"
    return Report.of(plan, spec, team=team_name, summaries=summaries, interrupted=interrupted)


def play(plan: Plan, played: list[PlayedPass], *, title: str = "") -> None:
    """Play the plan's passes and add each to `played` as it begins, so that Ctrl-C leaves what was finished.

    `title` goes before the name of a pass on its progress bar.  Raises WorldError or BundleError as the team does.
    """
    team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy)
    with ExitStack() as stack:
        recorder = None
        for name in plan.passes:
            world = plan.world(name)
            stack.callback(world.environment.close)
            if plan.frames is not None:
                world = FilmedWorld(world, folder=plan.frames, name=name)
            if plan.record is not None and recorder is None:
                recorder = stack.enter_context(Recorder(plan.record, plan=plan, spec=world.spec))
            played.append(PlayedPass(name=name, spec=world.spec))
            _play_pass(plan, team, world, recorder, played[-1], title=title)


def _play_pass(
    plan: Plan, team: LocalTeam, world: World, recorder: Recorder | None, part: PlayedPass, *, title: str
) -> None:
    name = part.name
    started = time.perf_counter()
    try:
        with Progress(title + LABELS[name], total=plan.episodes) as bar:
            for episode in range(plan.first_episode(name), plan.first_episode(name) + plan.episodes):
                found, steps = _play_whole(team, world, episode=episode, recorded=recorder is not None)
                part.results.append(found.result)
                part.messages += found.messages
                bar.advance()
                if recorder is not None:
                    for record in steps:
                        recorder.step(name, record)
                    recorder.episode(name, found.result)
    finally:
        part.seconds = time.perf_counter() - started


def _play_whole(
    team: LocalTeam, world: World, *, episode: int, recorded: bool
) -> tuple[LocalEpisode, list[StepRecord]]:
    """Play an episode, again from its start if it is lost with its simulator; its steps, if they are to be recorded."""
    for attempt in range(1 + LOST_EPISODE_REPEATS):
        steps: list[StepRecord] = []
        try:
            observe = steps.append if recorded else None
            return team.play(world, episode=episode, observe=observe, report_latents=recorded), steps
        except EpisodeLost as lost:
            logger.warning("episode lost episode=%d attempt=%d cause=%s", episode, attempt + 1, lost)
    raise WorldError(
        f"episode {episode} was lost {1 + LOST_EPISODE_REPEATS} times with the simulator of {world.spec.id!r}",
        remedy="An episode that its simulator cannot play is no fault of the team's; report it with its seed",
    )
