"""What each cell of a grid would train, and whether what was trained before is the same.

The trainer resolves presets; it is found through an entry point, so that nothing here imports it or torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from analysis.campaign.grid import Cell, overlay
from analysis.campaign.settings import flat
from heliograph.environments import registry
from heliograph.environments.permission import Permission
from heliograph.errors import HeliographError, MissingExtra
from heliograph.extras import install

TRAININGS_GROUP, PLAN = "heliograph.trainings", "plan"
"""Entry point of a callable `(preset: str, values: Mapping) -> PlannedTraining`."""
OF_THE_MACHINE = (
    *("seed", "device", "threads", "compile", "checkpoint_minutes", "environment.workers"),
    *("evaluation.copies", "evaluation.snapshots", "evaluation.export"),
)
"""Settings that may be another without making it another training; the seed is told beside them."""
BUDGET = ("schedule.env_steps", "schedule.minutes", "schedule.cpu_minutes")
"""Settings that say how far a training goes, and nothing else: it can go on to another end."""
_WHOLE = "environment.parameters"
"""A table that counts as one setting: its names are the environment's."""


class PlannedTraining(Protocol):
    """What `heliograph train` would begin."""

    algorithm: str
    environment: str
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    """All, as tables in tables of what JSON knows."""
    defaults: Mapping[str, Any]
    """By dotted key: what a setting is where nobody says anything."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The training of a cell, but for its seed."""

    cell: Cell
    algorithm: str
    values: Mapping[str, Any]
    """Settings over the cell's preset, as tables in tables."""
    settings: Mapping[str, Any]
    """All, by dotted key, those of OF_THE_MACHINE left out."""
    defaults: Mapping[str, Any]
    env_steps: int
    minutes: float
    cpu_minutes: float

    @property
    def digest(self) -> str:
        """Of the settings."""
        return digest_of(self.settings)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A setting that is not as the campaign wants it, each value as JSON or `absent`."""

    setting: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.setting} {self.found}, not {self.wanted}"


def plans_of(cells: Iterable[Cell], *, permission: Permission, source: str) -> list[Plan]:
    """What every cell trains.

    Raises SettingsError for a preset or a setting that nobody knows, UnknownEnvironment and EnvironmentUntrusted as
    `registry.check`, MissingExtra without the trainer.
    """
    plan = _planner()
    return [_planned(cell, plan, permission, source=source) for cell in cells]


def comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key, as JSON holds them, without those of the machine."""
    whole = settings.get("environment", {}).get("parameters", {})
    found = {key: value for key, value in flat(settings) if not key.startswith(f"{_WHOLE}.")}
    found = {key: value for key, value in found.items() if key not in OF_THE_MACHINE} | {_WHOLE: whole}
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return dict(sorted(plain.items()))


def digest_of(settings: Mapping[str, Any]) -> str:
    """Of comparable settings: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(dict(sorted(settings.items()))).encode()).hexdigest()[:16]


def differences(found: Mapping[str, Any], plan: Plan) -> list[Difference]:
    """Where comparable settings of another training are not those of the plan.

    A setting that is newer than what was found counts as agreeing at its default, which stands for what was before it.
    """
    defaults = {key: json.loads(json.dumps(value)) for key, value in plan.defaults.items()}
    differing = []
    for key in sorted({*found, *plan.settings}):
        if key not in found and plan.settings[key] == defaults.get(key, _NOTHING):
            continue
        then, wanted = _spelled(found, key), _spelled(plan.settings, key)
        if then != wanted:
            differing.append(Difference(setting=key, found=then, wanted=wanted))
    return differing


def goes_further(found: Mapping[str, Any], plan: Plan) -> bool:
    """Whether another training is the plan's, but that it ends after fewer steps."""
    others = [each for each in differences(found, plan) if each.setting not in BUDGET]
    steps = found.get("schedule.env_steps")  # whoever wrote the file may have left it out
    return not others and isinstance(steps, int) and steps < plan.env_steps


_NOTHING = object()
"""Equal to no value."""


def _planner() -> Callable[[str, Mapping[str, Any]], PlannedTraining]:
    for entry in entry_points(group=TRAININGS_GROUP, name=PLAN):
        try:
            loaded: Callable[[str, Mapping[str, Any]], PlannedTraining] = entry.load()
        except ModuleNotFoundError:
            break
        return loaded
    raise MissingExtra("a campaign trains, and the trainer is not installed", remedy=install("trainer"))


def _planned(
    cell: Cell,
    plan: Callable[[str, Mapping[str, Any]], PlannedTraining],
    permission: Permission,
    *,
    source: str,
) -> Plan:
    where = f"{source}, {cell.label} in {cell.world}"
    try:
        found = plan(cell.preset, cell.values)
        values = _evaluating(cell, found)
        if values is not cell.values:
            found = plan(cell.preset, values)
        registry.check(found.environment, found.parameters, permission.of(where))
    except HeliographError as error:
        if not error.message.startswith(where):
            error.message = f"{where}: {error.message}"
        raise
    schedule = found.settings["schedule"]
    return Plan(
        cell=cell,
        algorithm=found.algorithm,
        values=values,
        settings=comparable(found.settings),
        defaults=found.defaults,
        env_steps=schedule["env_steps"],
        minutes=schedule["minutes"],
        cpu_minutes=schedule["cpu_minutes"],
    )


def _evaluating(cell: Cell, found: PlannedTraining) -> Mapping[str, Any]:
    """A cell's values, with evaluations so many environment steps apart unless they say how many iterations."""
    if cell.evaluate_every is None or "every" in cell.values["evaluation"]:
        return cell.values
    per_iteration = found.settings["environment"]["copies"] * found.settings["schedule"]["steps_per_iteration"]
    every = max(1, round(cell.evaluate_every / per_iteration))
    return overlay(cell.values, {"evaluation": {"every": every}})


def _spelled(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "absent"
