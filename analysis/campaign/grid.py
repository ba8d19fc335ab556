"""The grid of a campaign: which runs it stands for, and with which settings each is trained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from analysis.campaign.effect import Place, without_effect
from analysis.campaign.settings import (
    Budget,
    CampaignSettings,
    EvaluationPlan,
    MethodInWorld,
    MethodPlan,
    SweepPlan,
    Table,
    WorldPlan,
    seeds_of,
)
from heliograph.errors import SettingsError
from heliograph.settings import did_you_mean

MAX_RUNS = 10_000
"""A grid of more is a slip of the hand: at a minute each they are a week."""
MAX_NAME = 200
"""Of a cell: file systems allow 255 for each folder."""
_NOT_IN_A_NAME = re.compile("[^A-Za-z0-9._=-]+")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A method, or a variant of it, in a world: runs that differ in their seed alone."""

    world: str
    method: str
    variant: str | None
    preset: str
    """That it departs from."""
    values: Mapping[str, Any]
    """Settings over it, as tables in tables."""
    seeds: tuple[int, ...]
    evaluation: EvaluationPlan
    evaluate_every: int | None
    """Environment steps between evaluations; None: as the settings say."""

    @property
    def label(self) -> str:
        """As tables and plots call it."""
        return self.method if self.variant is None else f"{self.method}/{self.variant}"

    @property
    def folder(self) -> str:
        """Of its runs and results, beneath that of the world."""
        return self.label.replace("/", "+")

    @property
    def name(self) -> str:
        return f"{self.world}/{self.folder}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training and its evaluation."""

    cell: Cell
    seed: int

    @property
    def name(self) -> str:
        """As commands and messages call it, and where it is beneath a folder of runs."""
        return f"{self.cell.name}/seed-{self.seed}"


def cells_of(campaign: CampaignSettings) -> list[Cell]:
    """All cells: world by world, method by method, what is plain before its variants.

    Raises SettingsError if they come to too many runs, to two of one name, or to a name that no folder can have, and if
    the file says something of runs that there are not.
    """
    _refuse_too_many(campaign)
    variants = list(_variants(campaign))
    cells = [
        _cell(campaign, (world, world_plan), (method, method_plan), variant)
        for world, world_plan in campaign.worlds.items()
        for method, method_plan in campaign.methods.items()
        if method_plan.worlds is None or world in method_plan.worlds
        if world_plan.methods is None or method in world_plan.methods
        for variant in ([None] if campaign.plain else []) + variants
        if variant is None or variant.takes(world, method)
    ]
    names = [cell.name for cell in cells]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"campaign {campaign.name}: {', '.join(twice)} is there twice", remedy="Rename a variant")
    if long := next((name for name in names if len(name.encode()) > MAX_NAME), None):
        raise SettingsError(
            f"campaign {campaign.name}: the name {long[:60]}… has more than {MAX_NAME} characters",
            remedy="Give shorter ones to a sweep's settings: `names`, or write it as several variants",
        )
    if not cells:
        raise SettingsError(f"campaign {campaign.name} has no runs", remedy="Name methods for its worlds")
    if vain := without_effect(campaign, [Place(cell.world, cell.method, cell.variant) for cell in cells]):
        raise SettingsError(
            f"campaign {campaign.name}: {vain[0]} has no effect, for no run is of that",
            remedy="Take it out, or name the world or the method where the other is limited to some",
        )
    runs = sum(len(cell.seeds) for cell in cells)
    if runs > MAX_RUNS:
        raise _too_many(campaign, runs)
    labels = {cell.label for cell in cells}
    if campaign.baseline is not None and campaign.baseline not in labels:
        hint = did_you_mean(campaign.baseline, labels)
        raise SettingsError(
            f"campaign {campaign.name}: the baseline {campaign.baseline!r} is none of its methods",
            remedy=f"{hint}There is {', '.join(sorted(labels))}",
        )
    return cells


def runs_of(cells: Iterable[Cell]) -> list[Run]:
    """Every run, the first seed of all cells before the second of any, so that early there is something of all."""
    cells = list(cells)
    most = max((len(cell.seeds) for cell in cells), default=0)
    return [Run(cell=cell, seed=cell.seeds[at]) for at in range(most) for cell in cells if at < len(cell.seeds)]


def with_settings(cell: Cell, variant: str, settings: Mapping[str, Any], seeds: tuple[int, ...]) -> Cell:
    """A variant of a plain cell: settings by dotted key over its own."""
    values = overlay(cell.values, _nested(settings))
    return Cell(**{**vars(cell), "variant": variant, "values": values, "seeds": seeds})


def chosen(cells: Sequence[Cell], only: Iterable[str]) -> list[Cell]:
    """Those that `world=…`, `method=…`, `variant=…`, `label=…` and `seed=…` name; of one kind any of several.

    Raises SettingsError for what none of them has, and if none has all of it.
    """
    only = list(only)
    wanted: dict[str, set[str]] = {}
    for text in only:
        kind, separator, value = text.partition("=")
        if not separator or kind not in ("world", "method", "variant", "label", "seed"):
            raise SettingsError(
                f"--only {text!r} is not of the form world=…, method=…, variant=…, label=… or seed=…",
            )
        wanted.setdefault(kind, set()).update(map(str, seeds_of(value)) if kind == "seed" else [value])
    known: dict[str, set[str]] = {
        "world": {cell.world for cell in cells},
        "method": {cell.method for cell in cells},
        "variant": {cell.variant or "" for cell in cells},
        "label": {cell.label for cell in cells},
        "seed": {str(seed) for cell in cells for seed in cell.seeds},
    }
    for kind, values in wanted.items():
        for value in sorted(values - known[kind]):
            hint = did_you_mean(value, known[kind])
            raise SettingsError(
                f"--only {kind}={value}: the campaign has none", remedy=f"{hint}There is {_listed(known[kind])}"
            )
    found = [narrowed for cell in cells if (narrowed := _narrowed(cell, wanted)) is not None]
    if only and not found:
        raise SettingsError(
            f"--only {' '.join(only)}: the campaign has no run that is all of this",
            remedy="There are runs of each, and none of them together; --dry-run without --only lists all",
        )
    return found


@dataclass(frozen=True, kw_only=True)
class _Variant:
    name: str
    settings: Table
    methods: tuple[str, ...] | None
    worlds: tuple[str, ...] | None
    on: Mapping[str, Table]

    def takes(self, world: str, method: str) -> bool:
        return (self.worlds is None or world in self.worlds) and (self.methods is None or method in self.methods)


def _variants(campaign: CampaignSettings) -> Iterator[_Variant]:
    for name, plan in campaign.variants.items():
        yield _Variant(name=name, settings=plan.settings, methods=plan.methods, worlds=plan.worlds, on=plan.on)
    for sweep in campaign.sweeps.values():
        for values in product(*sweep.values.values()):
            chosen_values = dict(zip(sweep.values, values, strict=True))
            yield _Variant(
                name=_name(sweep, chosen_values),
                settings=_nested(chosen_values),
                methods=sweep.methods,
                worlds=sweep.worlds,
                on={},
            )


def _name(sweep: SweepPlan, values: Mapping[str, Any]) -> str:
    parts = [f"{sweep.names.get(key, key.rpartition('.')[2])}={_written(value)}" for key, value in values.items()]
    return ",".join(_NOT_IN_A_NAME.sub("_", part) for part in parts)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nested(values: Mapping[str, Any]) -> Table:
    """Tables of dotted keys.  Raises SettingsError where one is a setting, and the table of another."""
    made: Table = {}
    for key, value in values.items():
        *path, last = key.split(".")
        table = made
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                break
        if not isinstance(table, dict) or last in table:
            raise SettingsError(f"{key} is within another setting, or another within it: {', '.join(values)}")
        table[last] = value
    return made


def _cell(
    campaign: CampaignSettings, world: tuple[str, WorldPlan], method: tuple[str, MethodPlan], variant: _Variant | None
) -> Cell:
    (world_name, in_world), (method_name, of_method) = world, method
    here = of_method.on.get(world_name, MethodInWorld())
    usual = in_world.preset.replace("{method}", of_method.preset or method_name)
    seeds = next(given for given in (here.seeds, of_method.seeds, in_world.seeds, campaign.seeds) if given is not None)
    evaluation = campaign.evaluation.model_copy(
        update={"search": campaign.evaluation.search or of_method.search}
        | ({} if in_world.episodes is None else {"episodes": in_world.episodes})
    )
    layers = [in_world.settings, of_method.settings, here.settings]
    if variant is not None:
        layers += [variant.settings, variant.on.get(world_name, {})]
    values = _budget(in_world, here) | {
        "evaluation": {
            "sampled": "sampled" in evaluation.policies,
            "final_episodes": evaluation.episodes,
        }
    }
    for layer in layers:
        values = overlay(values, layer)
    return Cell(
        world=world_name,
        method=method_name,
        variant=None if variant is None else variant.name,
        preset=here.preset or of_method.presets.get(world_name, usual),
        values=values,
        seeds=seeds_of(seeds),
        evaluation=evaluation,
        evaluate_every=in_world.evaluate_every,
    )


def _budget(world: Budget, here: Budget) -> Table:
    """A schedule: what neither says has no limit, but for the steps, which then are the preset's."""

    def said(name: str) -> Any:
        own = getattr(here, name)
        return getattr(world, name) if own is None else own

    schedule = {"minutes": said("minutes") or 0.0, "cpu_minutes": said("cpu_minutes") or 0.0}
    return {"schedule": schedule | ({} if said("env_steps") is None else {"env_steps": said("env_steps")})}


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    """Tables over tables: what is in both is as in the one above."""
    made = dict(below)
    for key, value in above.items():
        under = made.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            made[key] = overlay(under, value)
        else:
            made[key] = value
    return made


def _narrowed(cell: Cell, wanted: Mapping[str, set[str]]) -> Cell | None:
    """The cell with the seeds that are wanted of it; None if there are none."""
    has = {"world": cell.world, "method": cell.method, "variant": cell.variant or "", "label": cell.label}
    if any(kind in wanted and value not in wanted[kind] for kind, value in has.items()):
        return None
    seeds = tuple(seed for seed in cell.seeds if "seed" not in wanted or str(seed) in wanted["seed"])
    if not seeds:
        return None
    return Cell(**{**vars(cell), "seeds": seeds})


def _refuse_too_many(campaign: CampaignSettings) -> None:
    """Before anything is multiplied out."""
    variants = len(campaign.variants) + sum(
        prod(len(values) for values in sweep.values.values()) for sweep in campaign.sweeps.values()
    )
    most = len(campaign.worlds) * len(campaign.methods) * (variants + 1)
    if variants > MAX_RUNS or most > 100 * MAX_RUNS:
        raise _too_many(campaign, most)


def _too_many(campaign: CampaignSettings, runs: int) -> SettingsError:
    return SettingsError(
        f"campaign {campaign.name} comes to {runs:,} runs, and {MAX_RUNS:,} are the most",
        remedy="Take fewer seeds or values, or several campaigns",
    )


def _listed(names: Iterable[str], most: int = 20) -> str:
    ordered = sorted(name for name in names if name)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")
