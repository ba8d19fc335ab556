"""Several evaluations in one go: run folders or bundles, the last checkpoint or all of them, policies, references.

Everything is checked before the first episode is played, and scores are handed over as they are finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.plan.plan import Plan, make_plan
from coordinator.plan.settings import DEFAULTS, RunSettings
from coordinator.plan.trust import NOBODY, Trust
from coordinator.running.local import world_spec
from coordinator.scoring.centralised import CentralTeam, central_team
from coordinator.scoring.scored_run import score_bundles, score_central_team, score_reference, task_of, training_seed
from coordinator.scoring.scores import Score
from heliograph.environments import registry
from heliograph.environments.permission import Permission
from heliograph.environments.reference import reference_names
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from heliograph.settings import merge

ABSOLUTE_FACTOR = 10
"""How many times more episodes the chosen checkpoint plays (Gorsane et al. 2022)."""


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What to evaluate."""

    paths: tuple[Path, ...]
    references: tuple[str, ...] = ()
    agents: int | None = None
    environment: str | None = None
    trust: Trust = NOBODY
    overrides: tuple[str, ...] = ()
    settings: RunSettings = DEFAULTS
    """How bundles are run, but for `greedy`; of these the trainer's networks and references heed the episodes and their
    seed, networks the conditions, and references the most steps."""
    greedy: tuple[bool, ...] = (True,)
    """The policies: greedy, sampled, or both."""
    every_checkpoint: bool = False
    """With the trainer's networks, all agents at once; otherwise the bundles, each agent alone."""
    jobs: int = 1
    """Processes that play bundles side by side."""
    central: bool = False
    """The trainer's newest networks as well."""
    search: bool = False
    """The trainer's networks with a search before every step as well."""
    marl_eval: bool = False
    """The scores go into a marl-eval file: every run needs a name of its own there, and of all checkpoints the best
    is played again, on more and fresh episodes."""


def evaluate_suite(request: EvaluationRequest, scores: list[Score]) -> None:
    """Play what was asked for and append its scores, so that Ctrl-C leaves those that were finished.

    Raises SettingsError, BundleError, CheckpointError or WorldError, before anything is played where that is possible.
    """
    plans = {} if request.every_checkpoint else {path: plans_of(path, request) for path in request.paths}
    networks = request.every_checkpoint or request.central or request.search
    teams = {path: central_team(path, request.trust.user) for path in request.paths if networks}
    for path, team in teams.items():
        _check_central(path, team, request)
    specs = {path: world_spec(part[0]) for path, part in plans.items()}
    specs |= {path: team.spec for path, team in teams.items() if path not in specs}
    if request.marl_eval:
        _check_names(specs)
    permissions = {path: part[0].permission for path, part in plans.items()}
    worlds = _reference_worlds(
        request, [(spec, permissions.get(path, request.trust.user)) for path, spec in specs.items()]
    )
    for path in request.paths:
        for plan in plans.get(path, ()):
            score_bundles(path, plan, specs[path], scores, jobs=request.jobs)
        if path in teams:
            with closing(teams[path]) as team:
                for score in _central_scores(path, team, request):
                    scores.append(score)
    for name in request.references:
        for world, permission in worlds:
            scores.append(score_reference(name, world, request.settings, permission=permission))


def plans_of(path: Path, request: EvaluationRequest) -> list[Plan]:
    """One per policy, for the bundles in a folder or run folder.  Raises BundleError, SettingsError where none are."""
    bundles, permission = request.trust.team(path)
    return [
        make_plan(
            bundles,
            request.settings,
            permission=permission,
            agents=request.agents,
            environment=request.environment,
            overrides=request.overrides,
            greedy=greedy,
        )
        for greedy in request.greedy
    ]


def _check_central(path: Path, team: CentralTeam, request: EvaluationRequest) -> None:
    if request.environment is not None and request.environment != team.spec.id:
        raise SettingsError(f"{path} was trained in {team.spec.id!r}, not in {request.environment!r}")
    if request.agents is not None and request.agents != team.spec.agents:
        raise SettingsError(f"{path} was trained with {team.spec.agents} agents, not {request.agents}")
    if request.search:
        check_searches(path, team)
    if request.every_checkpoint and not team.snapshots:
        raise SettingsError(
            f"{path} holds no snapshots of its networks",
            remedy="Train with evaluation.snapshots above 0, or evaluate its last checkpoint: --checkpoints last",
        )


def check_searches(path: Path, team: CentralTeam) -> None:
    """Raise SettingsError for a team that plans nothing."""
    if team.search_bits is None:
        raise SettingsError(
            f"{path} was trained by {team.algorithm}, which has no search",
            remedy="Leave --search out, or name runs of an algorithm that plans, such as mazero",
        )


def _check_names(specs: Mapping[Path, EnvironmentSpec]) -> None:
    """Runs of a marl-eval file are told apart by their seeds."""
    names: dict[tuple[object, ...], Path] = {}
    for path, spec in specs.items():
        key = (*task_of(spec), training_seed(path))
        if key[-1] is not None and names.setdefault(key, path) != path:
            raise SettingsError(
                f"{names[key]} and {path} have the same task and seed, by which a marl-eval file tells runs apart",
                remedy="Write them to files of their own",
            )


_World = tuple[EnvironmentSpec, Permission]
"""A world, and the permission to make it once more."""


def _reference_worlds(request: EvaluationRequest, worlds: list[_World]) -> list[_World]:
    """The different worlds of the runs, or the one that was named; checked for the references' sake."""
    if request.references and request.environment is not None and not request.paths:
        parameters, permission = merge({}, request.overrides), request.trust.user.also([], request.overrides)
        with closing(
            registry.make(request.environment, count=1, parameters=parameters, permission=permission)
        ) as environment:
            worlds = [(environment.spec, permission)]
    different = {(world.id, json.dumps(world.parameters, sort_keys=True)): (world, may) for world, may in worlds}
    for world, _ in different.values():
        for name in request.references:
            if name not in reference_names(world.id):
                raise SettingsError(
                    f"environment {world.id!r} has no reference policy {name!r}",
                    remedy=f"Known are {', '.join(reference_names(world.id))}",
                )
    return list(different.values())


def _central_scores(path: Path, team: CentralTeam, request: EvaluationRequest) -> Iterator[Score]:
    """Of every policy, pass and checkpoint that was asked for, in this order."""
    asked = request.settings
    steps = sorted({*team.snapshots, team.newest}) if request.every_checkpoint else [team.newest]
    for greedy in request.greedy:
        here = replace(asked, greedy=greedy)
        for name in asked.conditions:
            found = []
            for checkpoint in steps if request.every_checkpoint or request.central else []:
                found.append(score_central_team(path, team, checkpoint, here, name))
                yield found[-1]
            for checkpoint in steps if request.search else []:
                yield score_central_team(path, team, checkpoint, here, name, searching=True)
            if request.marl_eval and request.every_checkpoint:
                best = max(found, key=lambda score: (score.estimate.mean, score.env_steps))
                assert best.env_steps is not None
                more = replace(
                    asked, episodes=ABSOLUTE_FACTOR * asked.episodes, run_seed=asked.run_seed + 1, greedy=greedy
                )
                again = score_central_team(path, team, best.env_steps, more, name)
                yield replace(again, chosen=True)
