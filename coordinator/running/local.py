"""Evaluates a team in one process and sums it up like a run of processes."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from dataclasses import dataclass, field

from coordinator.observers.observers import NO_OBSERVERS, ObservedTeam, Observers, observing
from coordinator.observers.progress import Progress
from coordinator.observers.settings import UNOBSERVED, ObserverSettings
from coordinator.plan.plan import LABELS, Plan
from coordinator.recording.writer import Recorder
from coordinator.running.outcome import summarise
from coordinator.running.report import Report
from coordinator.running.whole_episodes import whole_episodes
from coordinator.serving.conservation import LinkBalance, Traffic, added
from coordinator.world.trajectory import EpisodeResult
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import OutputFailed


@dataclass(kw_only=True)
class PlayedPass:
    """What was played of a pass; it grows while the pass is played."""

    name: str
    spec: EnvironmentSpec
    results: list[EpisodeResult] = field(default_factory=list)
    links: tuple[LinkBalance, ...] = ()
    seconds: float = 0.0


def evaluate(plan: Plan, *, jobs: int = 1, observers: ObserverSettings = UNOBSERVED) -> Report:
    """Play the plan's passes; after Ctrl-C the report holds what was finished and says so."""
    played: list[PlayedPass] = []
    spec = world_spec(plan)
    interrupted, output_failure = False, None
    team_name = f"{len(plan.bundles)} agents in one process"
    try:
        with observing(
            observers, plan, spec, ObservedTeam(name=team_name, live=lambda: len(plan.bundles))
        ) as all_observers:
            play(plan, spec, played, jobs=jobs, observers=all_observers)
    except KeyboardInterrupt:
        interrupted = True
    except OutputFailed as error:
        output_failure = str(error)
    summaries = [
        summarise(
            part.results,
            label=LABELS[part.name],
            spec=part.spec,
            manifest=plan.manifest,
            seconds=part.seconds,
            traffic=Traffic.within_a_process(part.links),
        )
        for part in played
        if part.results
    ]
    links = added(part.links for part in played)
    return Report.of(
        plan,
        spec,
        team=team_name,
        summaries=summaries,
        links=links,
        interrupted=interrupted,
        output_failure=output_failure,
    )


def world_spec(plan: Plan) -> EnvironmentSpec:
    """What the plan's world is like."""
    with closing(plan.world(plan.passes[0]).environment) as environment:
        return environment.spec


def play(
    plan: Plan,
    spec: EnvironmentSpec,
    played: list[PlayedPass],
    *,
    jobs: int,
    title: str = "",
    observers: Observers = NO_OBSERVERS,
) -> None:
    """Play the plan's passes and add each to `played` as it begins, so that Ctrl-C leaves what was finished.

    `spec` is that of the plan's world, `jobs` how many processes play side by side, each with a team of its own;
    `title` goes before the name of a pass on its progress bar; `observers` are told, too.  Raises WorldError or
    BundleError as the team does.
    """
    recording = nullcontext() if plan.record is None else Recorder(plan.record, plan=plan, spec=spec)
    with recording as recorder:
        for name in plan.passes:
            played.append(PlayedPass(name=name, spec=spec))
            _play_pass(plan, recorder, played[-1], jobs=jobs, title=title, observers=observers)
        if recorder is not None:
            recorder.finish()


def _play_pass(
    plan: Plan, recorder: Recorder | None, part: PlayedPass, *, jobs: int, title: str, observers: Observers
) -> None:
    with whole_episodes(plan, part.name, jobs=jobs, observers=observers) as episodes:
        started = time.perf_counter()
        try:
            with Progress(title + LABELS[part.name], total=plan.episodes) as bar:
                for found, steps in episodes:
                    part.results.append(found.result)
                    part.links = added((part.links, found.links))
                    bar.advance()
                    for observer in observers.each:
                        observer.episode(part.name, found.result)
                    if recorder is not None:
                        for record in steps:
                            recorder.step(part.name, record)
                        recorder.episode(part.name, found.result)
        finally:
            part.seconds = time.perf_counter() - started
