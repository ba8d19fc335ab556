"""Plays one team - bundles, the trainer's networks, or a reference - and says what it came to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from coordinator.observers.progress import Progress
from coordinator.plan.plan import LABELS, Plan
from coordinator.plan.settings import RunSettings
from coordinator.running.local import ConditionRun, run_conditions
from coordinator.scoring.centralised import CentralTeam
from coordinator.scoring.scores import ALONE, REFERENCE, SEARCHING, TOGETHER, Score
from coordinator.scoring.training_settings import training_settings
from heliograph.environments.defaults import changed_parameters
from heliograph.environments.permission import Permission
from heliograph.environments.reference import run_reference
from heliograph.environments.vector import EnvironmentSpec
from heliograph.marl_eval import environment_and_task
from heliograph.run_settings import kind_of_run

POLICIES = {True: "greedy", False: "sampled"}


def training_seed(path: Path) -> int | None:
    """The seed of a run folder's training; None for a folder of bundles."""
    seed: int | None = _training_of(path)["seed"]
    return seed


def _training_of(path: Path) -> dict[str, Any]:
    """What a score says of it; nothing is known of that of a folder of bundles."""
    settings = training_settings(path) or {}
    seed = settings.get("seed")
    return {"seed": seed if type(seed) is int else None, "kind": kind_of_run(settings)}


def task_of(spec: EnvironmentSpec) -> tuple[str, str]:
    """Environment and task of a marl-eval file."""
    return environment_and_task(spec.id, changed_parameters(spec.id, spec.parameters))


def score_bundles(path: Path, plan: Plan, spec: EnvironmentSpec, scores: list[Score], *, jobs: int) -> None:
    """Run every condition of a plan and append its score; one that is interrupted counts with what was finished."""
    finished: list[ConditionRun] = []
    try:
        run_conditions(plan, spec, finished, jobs=jobs, title=f"{path}, {POLICIES[plan.greedy]}, ")
    finally:
        for part in finished:
            if part.results:
                environment, task = task_of(part.spec)
                scores.append(
                    Score(
                        run=str(path),
                        environment=environment,
                        task=task,
                        algorithm=plan.manifest.algorithm,
                        **_training_of(path),
                        env_steps=plan.manifest.training_step,
                        team=ALONE,
                        policy=POLICIES[plan.greedy],
                        links=part.name,
                        measure=part.spec.outcome,
                        outcome=tuple(result.outcome for result in part.results),
                        team_return=tuple(result.team_return for result in part.results),
                        seconds=part.seconds,
                        cut_episodes=sum(result.cut for result in part.results),
                    )
                )


# Six parameters: whose networks, of which checkpoint, and how they are run.
def score_central_team(
    path: Path, team: CentralTeam, checkpoint: int, settings: RunSettings, name: str, *, searching: bool = False
) -> Score:
    """Run the trainer's networks of a checkpoint under the condition `name`, `searching` or not; of the settings they
    heed the episodes, their seed and longest length, and whether they are greedy."""
    started = time.perf_counter()
    title = f"{path} at {checkpoint:,} steps, {POLICIES[settings.greedy]}, {LABELS[name]}"
    with Progress(title, total=settings.episodes) as bar:
        found = team.run_episodes(
            checkpoint,
            episodes=settings.episodes,
            seed=settings.run_seed,
            most_steps=settings.most_steps,
            greedy=settings.greedy,
            links_cut=name == "cut",
            searching=searching,
            progress=bar.reach,
        )
    environment, task = task_of(team.spec)
    return Score(
        run=str(path),
        environment=environment,
        task=task,
        algorithm=team.algorithm,
        **_training_of(path),
        env_steps=checkpoint,
        team=SEARCHING if searching else TOGETHER,
        policy=POLICIES[settings.greedy],
        links=name,
        measure=team.spec.outcome,
        **_results(found),
        seconds=time.perf_counter() - started,
    )


def score_reference(name: str, world: EnvironmentSpec, settings: RunSettings, *, permission: Permission) -> Score:
    """Run a reference policy on the episodes that teams run with the same seed; `permission` is to make the world."""
    started = time.perf_counter()
    with Progress(f"{name} in {world.id}", total=settings.episodes) as bar:
        found = run_reference(
            world.id,
            name,
            parameters=world.parameters,
            episodes=settings.episodes,
            seed=settings.run_seed,
            most_steps=settings.most_steps,
            progress=bar.reach,
            permission=permission,
        )
    environment, task = task_of(world)
    return Score(
        run=name,
        environment=environment,
        task=task,
        algorithm=name,
        seed=None,
        env_steps=None,
        team=REFERENCE,
        policy="",
        links="",
        measure=world.outcome,
        **_results(found),
        seconds=time.perf_counter() - started,
    )


def _results(found: Any) -> dict[str, Any]:
    per_episode = {name: tuple(map(float, getattr(found, name))) for name in ("outcome", "team_return")}
    return {**per_episode, "cut_episodes": int(found.cut.sum())}
