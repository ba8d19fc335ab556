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
class ConditionRun:
    """What was run under a condition; it grows meanwhile."""

    name: str
    spec: EnvironmentSpec
    results: list[EpisodeResult] = field(default_factory=list)
    links: tuple[LinkBalance, ...] = ()
    seconds: float = 0.0
    undrawn: list[str] = field(default_factory=list)
    """Why pictures of it are lacking that were asked for."""


def evaluate(plan: Plan, *, jobs: int = 1, observers: ObserverSettings = UNOBSERVED) -> Report:
    """Run the plan's conditions; after Ctrl-C the report holds what was finished and says so."""
    finished: list[ConditionRun] = []
    spec = world_spec(plan)
    interrupted, output_failure = False, None
    team_name = f"{len(plan.bundles)} agents in one process"
    try:
        with observing(
            observers, plan, spec, ObservedTeam(name=team_name, live=lambda: len(plan.bundles))
        ) as all_observers:
            run_conditions(plan, spec, finished, jobs=jobs, observers=all_observers)
    except KeyboardInterrupt:
        interrupted = True
    except OutputFailed as error:
        output_failure = str(error)
    summaries = [
        summarise(
            part.results,
            label=LABELS[part.name],
            spec=part.spec,
            seconds=part.seconds,
            traffic=Traffic.within_a_process(part.links),
        )
        for part in finished
        if part.results
    ]
    links = added(part.links for part in finished)
    return Report.of(
        plan,
        spec,
        team=team_name,
        summaries=summaries,
        links=links,
        interrupted=interrupted,
        output_failure=output_failure,
        undrawn=next((cause for part in finished for cause in part.undrawn), None),
    )


def world_spec(plan: Plan) -> EnvironmentSpec:
    """What the plan's world is like."""
    with closing(plan.world(plan.conditions[0]).environment) as environment:
        return environment.spec


def run_conditions(
    plan: Plan,
    spec: EnvironmentSpec,
    finished: list[ConditionRun],
    *,
    jobs: int,
    title: str = "",
    observers: Observers = NO_OBSERVERS,
) -> None:
    """Run the plan's conditions and add each to `finished` as it begins, so that Ctrl-C leaves what was finished.

    `spec` is that of its world, `jobs` how many processes run episodes side by side, each with a team of its own;
    `title` goes before the name of a condition on its progress bar; `observers` are told, too.  Raises WorldError or
    BundleError as the team does.
    """
    recording = nullcontext() if plan.record is None else Recorder(plan.record, plan=plan, spec=spec)
    with recording as recorder:
        for name in plan.conditions:
            finished.append(ConditionRun(name=name, spec=spec))
            _run_condition(plan, recorder, finished[-1], jobs=jobs, title=title, observers=observers)
        if recorder is not None:
            recorder.finish()


def _run_condition(
    plan: Plan, recorder: Recorder | None, part: ConditionRun, *, jobs: int, title: str, observers: Observers
) -> None:
    with whole_episodes(plan, part.name, jobs=jobs, observers=observers, undrawn=part.undrawn.append) as episodes:
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
