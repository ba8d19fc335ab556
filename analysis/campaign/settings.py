"""The file of a campaign: what is compared with what, in which worlds, how long and how often.

    name = "messages"
    baseline = "mappo"
    steps = [5_000, 10_000, 20_000]
    seeds = "0-2"

    [worlds.relay-sighted]
    preset = "{method}-relay-sighted"
    env_steps = 20_000

    [methods.mamba]
    presets.relay-sighted = "relay-sighted"

    [methods.mappo]

A file is data: it names presets that come with the trainer, worlds and settings, and runs no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from heliograph.seed_ranges import parse_seeds
from heliograph.settings import Settings, read_toml, resolve

FINAL_SEED = 2**32 + 1
"""Of the evaluation that ends a training; the processes play the same episodes."""
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._=,-]{0,79}")
"""Of a campaign, world, method or variant: it becomes a folder's."""

Policy = Literal["greedy", "sampled"]
Table = dict[str, Any]
"""Settings of `heliograph train` as tables in tables, not all of them."""


class EvaluationPlan(Settings):
    """How the team of a finished training is measured."""

    episodes: PositiveInt = 200
    """Of each policy and condition."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = FINAL_SEED
    policies: Annotated[tuple[Policy, ...], Field(min_length=1)] = ("sampled", "greedy")
    """The first is the one that tables and curves begin with."""
    masked: bool = True
    """Teams that exchange messages play as many episodes with every message masked."""
    permuted: bool = False
    """They also play as many with the messages of another episode, in one process."""
    processes: bool = True
    """A process per agent, as a team is used; else all in one, which plays the same episodes sooner."""
    search: bool = False
    """With a search over the whole team before every step as well; a method says so that plans, such as mazero."""


class Budget(Settings):
    """How far a training goes; what is reached first ends it."""

    env_steps: PositiveInt | None = None
    minutes: NonNegativeFloat | None = None
    """Wall time of one training; 0: any."""
    cpu_minutes: NonNegativeFloat | None = None
    """Processor time of one training; 0: any."""


class WorldPlan(Budget):
    """A world, as a preset of each method knows it."""

    preset: str
    """With `{method}` for the method's name; one that comes with the trainer."""
    settings: Table = {}
    methods: tuple[str, ...] | None = None
    """That are trained here, as far as they are not limited to other worlds; None: all."""
    seeds: str | tuple[int, ...] | None = None
    evaluate_every: PositiveInt | None = None
    """Environment steps between evaluations, for all methods alike; None: as the presets do, in iterations."""
    episodes: PositiveInt | None = None
    """Of the evaluation at the end; None: those of the campaign."""


class MethodInWorld(Budget):
    """What is another for one method in one world."""

    preset: str | None = None
    settings: Table = {}
    seeds: str | tuple[int, ...] | None = None


class MethodPlan(Settings):
    """A method of training."""

    preset: str | None = None
    """What stands for `{method}` in the worlds' presets; None: its name."""
    presets: dict[str, str] = {}
    """By world: a preset whose name is not made like the others."""
    settings: Table = {}
    worlds: tuple[str, ...] | None = None
    """None: all."""
    search: bool = False
    """It plans: its networks are also measured with a search over the whole team before every step, in one process."""
    seeds: str | tuple[int, ...] | None = None
    """None: those of the world, or of the campaign."""
    on: dict[str, MethodInWorld] = {}
    """By world."""


class VariantPlan(Settings):
    """Settings that are another, such as those of an ablation."""

    settings: Table
    methods: tuple[str, ...] | None = None
    """None: all."""
    worlds: tuple[str, ...] | None = None
    """None: all."""
    on: dict[str, Table] = {}
    """By world: settings that are another there alone."""


class SweepPlan(Settings):
    """A variant for every combination of values, named like `rho=0.75,lambda=0.8`."""

    values: Annotated[dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]], Field(min_length=1)]
    """By setting, in tables or with dots."""
    names: dict[str, str] = {}
    """By dotted setting: how variants' names call it; its last part if it is not here."""
    methods: tuple[str, ...] | None = None
    worlds: tuple[str, ...] | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return dict(flat(value)) if isinstance(value, dict) else value


class ParameterRange(Settings):
    """What a tuned setting may be: a number between two others, or one of some values."""

    low: float | int | None = None
    high: float | int | None = None
    """Included.  Whole numbers if both are."""
    log: bool = False
    """Drawn by its logarithm."""
    choices: tuple[bool | int | float | str, ...] | None = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("it is either from `low` to `high`, or one of `choices`")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError("what is drawn by its logarithm begins above 0")
        if self.choices is not None and len(self.choices) < 2:
            raise ValueError("one choice is none")
        return self

    def takes(self, value: Any) -> bool:
        """Whether it is a value that may be drawn."""
        if self.choices is not None:
            return any(type(value) is type(choice) and value == choice for choice in self.choices)
        assert self.low is not None
        assert self.high is not None
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high


class TunePlan(Settings):
    """A search for one method's settings: trials, each a variant that all its worlds and seeds are run with."""

    method: str
    trials: Annotated[int, Field(ge=1, le=1000)] = 20
    parameters: Annotated[dict[str, ParameterRange], Field(min_length=1)]
    """By dotted setting, in quotes."""
    worlds: tuple[str, ...] | None = None
    """None: all that the method is trained in; what counts is the mean over them, so they should measure alike."""
    seeds: str | tuple[int, ...] | None = None
    """None: the campaign's.  Report on others than those that settings were chosen on."""
    policy: Policy | None = None
    """Whose score counts; None: the campaign's first."""
    env_steps: PositiveInt | None = None
    """After which it counts; None: at the end."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of what is drawn."""


class CampaignSettings(Settings):
    """A whole file."""

    name: str
    description: str = ""
    worlds: Annotated[dict[str, WorldPlan], Field(min_length=1)]
    methods: Annotated[dict[str, MethodPlan], Field(min_length=1)]
    variants: dict[str, VariantPlan] = {}
    sweeps: dict[str, SweepPlan] = {}
    plain: bool = True
    """Methods are run without any variant as well."""
    seeds: str | tuple[int, ...] = (0, 1, 2)
    """As `0-9`, `0,3,7`, or a list."""
    evaluation: EvaluationPlan = EvaluationPlan()
    steps: tuple[PositiveInt, ...] = ()
    """Environment steps at which the tables compare; none: the end alone."""
    tune: TunePlan | None = None
    """For `heliograph campaign tune`."""
    baseline: str | None = None
    """Label over which improvement is told: a method, or a method with a variant as `mamba/no-messages`."""
    cpu_hours: PositiveFloat | None = None
    """Of all runs together: no run is begun once they have taken so much; None: any."""

    @field_validator("name")
    @classmethod
    def _name_of_a_folder(cls, value: str) -> str:
        return _checked_name(value)

    @field_validator("worlds", "methods", "variants", "sweeps")
    @classmethod
    def _names_of_folders(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            _checked_name(name)
        return value

    @model_validator(mode="after")
    def _names_that_exist(self) -> Self:
        for where, names, known in self._named():
            if unknown := sorted(set(names) - set(known)):
                raise ValueError(f"{where} names {', '.join(unknown)}, and there is {', '.join(sorted(known))}")
        for where, world in self.worlds.items():
            parts = re.sub(r"\{method\}", "", world.preset)
            if "{" in parts or "}" in parts:
                raise ValueError(f"worlds.{where}.preset {world.preset!r}: only {{method}} may stand in braces")
        return self

    def _named(self) -> list[tuple[str, tuple[str, ...], dict[str, Any]]]:
        """Where names are used, which, and among what they must be."""
        found: list[tuple[str, tuple[str, ...], dict[str, Any]]] = []
        for name, method in self.methods.items():
            found.append((f"methods.{name}.worlds", method.worlds or (), self.worlds))
            found.append((f"methods.{name}.on", tuple(method.on), self.worlds))
            found.append((f"methods.{name}.presets", tuple(method.presets), self.worlds))
        found += [(f"worlds.{name}.methods", world.methods or (), self.methods) for name, world in self.worlds.items()]
        if self.tune is not None:
            found.append(("tune.method", (self.tune.method,), self.methods))
            found.append(("tune.worlds", self.tune.worlds or (), self.worlds))
        found += [(f"variants.{name}.on", tuple(variant.on), self.worlds) for name, variant in self.variants.items()]
        for kind, plans in (("variants", self.variants), ("sweeps", self.sweeps)):
            for name, plan in plans.items():
                found.append((f"{kind}.{name}.worlds", plan.worlds or (), self.worlds))
                found.append((f"{kind}.{name}.methods", plan.methods or (), self.methods))
        return found


def read_campaign(path: Path) -> CampaignSettings:
    """The campaign of a file.  Raises SettingsError."""
    return resolve(CampaignSettings, read_toml(path), source=f"campaign {path}")


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of tables in tables, by its dotted key."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def seeds_of(given: str | tuple[int, ...]) -> tuple[int, ...]:
    """Ascending.  Raises SettingsError."""
    return parse_seeds(given if isinstance(given, str) else ",".join(map(str, given)))


def _checked_name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name of letters, digits and . _ = , - that a folder can have")
    return value
