"""Evaluates a team in one process and sums it up like a run of processes."""

from __future__ import annotations

import time

from coordinator.filming import FilmedWorld
from coordinator.local import LocalTeam
from coordinator.outcome import Summary, summarise
from coordinator.plan import LABELS, Plan
from coordinator.progress import Progress
from coordinator.recording import Recorder
from coordinator.report import Report
from coordinator.trajectory import EpisodeResult, StepRecord


def evaluate(plan: Plan) -> Report:
    """Play the plan's passes; after Ctrl-C the report holds what was finished and says so."""
    team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy)
    spec = plan.world(plan.passes[0]).spec
    summaries: list[Summary] = []
    interrupted = False
    try:
        if plan.record is None:
            for name in plan.passes:
                _evaluate_pass(name, plan, team, None, summaries)
        else:
            with Recorder(plan.record, plan=plan, spec=spec) as recorder:
                for name in plan.passes:
                    _evaluate_pass(name, plan, team, recorder, summaries)
    except KeyboardInterrupt:
        interrupted = True
    team_name = f"{len(plan.bundles)} agents in one process"
    return Report.of(plan, spec, team=team_name, summaries=summaries, interrupted=interrupted)


def _evaluate_pass(name: str, plan: Plan, team: LocalTeam, recorder: Recorder | None, summaries: list[Summary]) -> None:
    def observe(record: StepRecord) -> None:
        assert recorder is not None
        recorder.step(name, record)

    world = plan.world(name)
    if plan.frames is not None:
        world = FilmedWorld(world, folder=plan.frames, name=name)
    results: list[EpisodeResult] = []
    messages = 0
    started = time.perf_counter()
    try:
        with Progress(LABELS[name], total=plan.episodes) as bar:
            for episode in range(plan.first_episode(name), plan.first_episode(name) + plan.episodes):
                played = team.play(
                    world,
                    episode=episode,
                    observe=None if recorder is None else observe,
                    report_latents=recorder is not None,
                )
                results.append(played.result)
                messages += played.messages
                bar.advance()
                if recorder is not None:
                    recorder.episode(name, played.result)
    finally:
        if results:
            summaries.append(
                summarise(
                    results,
                    label=LABELS[name],
                    spec=world.spec,
                    manifest=plan.manifest,
                    seconds=time.perf_counter() - started,
                    messages=messages,
                )
            )
