"""Several evaluations in one go: run folders or bundles, the last checkpoint or all of them, policies, references.

Everything is checked before the first episode is played, and scores are handed over as they are finished.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coordinator.central import CentralTeam, central_team
from coordinator.evaluation import PlayedPass, play, world_spec
from coordinator.plan import LABELS, Plan, make_plan
from coordinator.progress import Progress
from coordinator.scores import ALONE, REFERENCE, TOGETHER, Score
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.environments.defaults import changed_parameters
from heliograph.environments.reference import play_reference, reference_names
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from heliograph.marl_eval import environment_and_task
from heliograph.settings import merge

POLICIES = {True: "greedy", False: "sampled"}
ABSOLUTE_FACTOR = 10
"""How many times more episodes the chosen checkpoint plays (Gorsane et al. 2022)."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to evaluate."""

    paths: tuple[Path, ...]
    references: tuple[str, ...] = ()
    agents: int | None = None
    environment: str | None = None
    overrides: tuple[str, ...] = ()
    episodes: int = 100
    seed: int = 0
    greedy: tuple[bool, ...] = (True,)
    """The policies: greedy, sampled, or both."""
    passes: tuple[str, ...] = ("open",)
    every_checkpoint: bool = False
    """With the trainer's networks, all agents at once; otherwise the bundles, each agent alone."""
    jobs: int = 1
    """Processes that play bundles side by side."""
    central: bool = False
    """The trainer's newest networks as well."""
    marl_eval: bool = False
    """The scores go into a marl-eval file: every run needs a name of its own there, and of all checkpoints the best
    is played again, on more and fresh episodes."""


def survey(request: Request, scores: list[Score]) -> None:
    """Play what was asked for and append its scores, so that Ctrl-C leaves those that were finished.

    Raises SettingsError, BundleError, CheckpointError or WorldError, before anything is played where that is possible.
    """
    plans = {} if request.every_checkpoint else {path: _plans(path, request) for path in request.paths}
    teams = {path: central_team(path) for path in request.paths if request.every_checkpoint or request.central}
    for path, team in teams.items():
        _check_central(path, team, request)
    specs = {path: world_spec(part[0]) for path, part in plans.items()}
    specs |= {path: team.spec for path, team in teams.items() if path not in specs}
    if request.marl_eval:
        _check_names(specs)
    worlds = _reference_worlds(request, list(specs.values()))
    for path in request.paths:
        for plan in plans.get(path, ()):
            _play_bundles(path, plan, specs[path], scores, jobs=request.jobs)
        if path in teams:
            with closing(teams[path]) as team:
                for score in _play_centrally(path, team, request):
                    scores.append(score)
    for name in request.references:
        for world in worlds:
            scores.append(_play_reference(name, world, request))


def training_seed(path: Path) -> int | None:
    """The seed of a run folder's training; None for a folder of bundles."""
    file = path / "settings.json"
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("seed") if file.is_file() else None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error


def bundle_folder(path: Path) -> Path:
    """Where the bundles are: in the folder itself, or in a run folder's `bundles`."""
    return path / "bundles" if (path / "bundles").is_dir() else path


def _names(spec: EnvironmentSpec) -> tuple[str, str]:
    """Environment and task of a marl-eval file."""
    return environment_and_task(spec.id, changed_parameters(spec.id, spec.parameters))


def _plans(path: Path, request: Request) -> list[Plan]:
    """One per policy."""
    if (path / "settings.json").is_file() and not (path / "bundles").is_dir():
        raise SettingsError(
            f"{path} has no bundles: its training has not ended",
            remedy=f"Make them with `heliograph export {path}`, or evaluate its networks with --checkpoints all",
        )
    team = load_team(bundle_folder(path))
    return [
        make_plan(
            team,
            agents=request.agents,
            environment=request.environment,
            overrides=request.overrides,
            episodes=request.episodes,
            run_seed=request.seed,
            greedy=greedy,
            passes=request.passes,
        )
        for greedy in request.greedy
    ]


def _check_central(path: Path, team: CentralTeam, request: Request) -> None:
    if request.environment is not None and request.environment != team.spec.id:
        raise SettingsError(f"{path} was trained in {team.spec.id!r}, not in {request.environment!r}")
    if request.agents is not None and request.agents != team.spec.agents:
        raise SettingsError(f"{path} was trained with {team.spec.agents} agents, not {request.agents}")
    if request.every_checkpoint and not team.snapshots:
        raise SettingsError(
            f"{path} holds no snapshots of its networks",
            remedy="Train with evaluation.snapshots above 0, or evaluate its last checkpoint: --checkpoints last",
        )


def _check_names(specs: Mapping[Path, EnvironmentSpec]) -> None:
    """Runs of a marl-eval file are told apart by their seeds."""
    names: dict[tuple[object, ...], Path] = {}
    for path, spec in specs.items():
        key = (*_names(spec), training_seed(path))
        if key[-1] is not None and names.setdefault(key, path) != path:
            raise SettingsError(
                f"{names[key]} and {path} have the same task and seed, by which a marl-eval file tells runs apart",
                remedy="Write them to files of their own",
            )


def _reference_worlds(request: Request, worlds: list[EnvironmentSpec]) -> list[EnvironmentSpec]:
    """The different worlds of the runs, or the one that was named; checked for the references' sake."""
    if request.references and request.environment is not None and not request.paths:
        parameters = merge({}, request.overrides)
        with closing(registry.make(request.environment, count=1, parameters=parameters)) as environment:
            worlds = [environment.spec]
    different = {(world.id, json.dumps(world.parameters, sort_keys=True)): world for world in worlds}
    for world in different.values():
        for name in request.references:
            if name not in reference_names(world.id):
                raise SettingsError(
                    f"environment {world.id!r} has no reference policy {name!r}",
                    remedy=f"Known are {', '.join(reference_names(world.id))}",
                )
    return list(different.values())


def _play_bundles(path: Path, plan: Plan, spec: EnvironmentSpec, scores: list[Score], *, jobs: int) -> None:
    """Every pass of a plan; one that is interrupted counts with what was finished."""
    played: list[PlayedPass] = []
    try:
        play(plan, spec, played, jobs=jobs, title=f"{path}, {POLICIES[plan.greedy]}, ")
    finally:
        for part in played:
            if part.results:
                environment, task = _names(part.spec)
                scores.append(
                    Score(
                        run=str(path),
                        environment=environment,
                        task=task,
                        algorithm=plan.manifest.algorithm,
                        seed=training_seed(path),
                        env_steps=plan.manifest.training_step,
                        team=ALONE,
                        policy=POLICIES[plan.greedy],
                        links=part.name,
                        measure=part.spec.outcome,
                        outcome=tuple(result.outcome for result in part.results),
                        team_return=tuple(result.team_return for result in part.results),
                        seconds=part.seconds,
                    )
                )


def _play_centrally(path: Path, team: CentralTeam, request: Request) -> Iterator[Score]:
    steps = sorted({*team.snapshots, team.newest}) if request.every_checkpoint else [team.newest]
    for greedy in request.greedy:
        for name in request.passes:
            found = []
            for checkpoint in steps:
                found.append(_central_score(path, team, request, checkpoint, greedy=greedy, name=name))
                yield found[-1]
            if request.marl_eval and request.every_checkpoint:
                best = max(found, key=lambda score: (score.estimate.mean, score.env_steps))
                assert best.env_steps is not None
                more = replace(request, episodes=ABSOLUTE_FACTOR * request.episodes, seed=request.seed + 1)
                again = _central_score(path, team, more, best.env_steps, greedy=greedy, name=name)
                yield replace(again, chosen=True)


def _central_score(
    path: Path, team: CentralTeam, request: Request, checkpoint: int, *, greedy: bool, name: str
) -> Score:
    started = time.perf_counter()
    title = f"{path} at {checkpoint:,} steps, {POLICIES[greedy]}, {LABELS[name]}"
    with Progress(title, total=request.episodes) as bar:
        found = team.play(
            checkpoint,
            episodes=request.episodes,
            seed=request.seed,
            greedy=greedy,
            links_cut=name == "cut",
            progress=bar.reach,
        )
    environment, task = _names(team.spec)
    return Score(
        run=str(path),
        environment=environment,
        task=task,
        algorithm=team.algorithm,
        seed=training_seed(path),
        env_steps=checkpoint,
        team=TOGETHER,
        policy=POLICIES[greedy],
        links=name,
        measure=team.spec.outcome,
        **_results(found),
        seconds=time.perf_counter() - started,
    )


def _play_reference(name: str, world: EnvironmentSpec, request: Request) -> Score:
    started = time.perf_counter()
    with Progress(f"{name} in {world.id}", total=request.episodes) as bar:
        found = play_reference(
            world.id,
            name,
            parameters=world.parameters,
            episodes=request.episodes,
            seed=request.seed,
            progress=bar.reach,
        )
    environment, task = _names(world)
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


def _results(found: Any) -> dict[str, tuple[float, ...]]:
    return {name: tuple(map(float, getattr(found, name))) for name in ("outcome", "team_return")}
