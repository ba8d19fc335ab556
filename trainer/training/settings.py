"""All settings of a training run.  Imports no torch, so that a run is resolved and printed before it loads.

Those of an algorithm are sections of their own, declared beside it; a run has the sections that its algorithm reads.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    create_model,
    field_validator,
    model_validator,
)

from heliograph.errors import SettingsError
from heliograph.reading import SMALL, read_json
from heliograph.run_format import RUN_FOLDER, begun_elsewhere, run_fields
from heliograph.settings import Settings, Text, resolve
from trainer.algorithms.registry import algorithm_entry, section_owner
from trainer.experience.curriculum import CurriculumSettings
from trainer.experience.settings import ReplaySettings, SuitsLength, SuitsReplay
from trainer.policy.settings import ModelBasedSettings

DEFAULT_ALGORITHM = "mamba"


class EnvironmentSettings(Settings):
    id: Annotated[str, Text.OF_THE_USER]
    """Name in the registry, or import path; see `heliograph environments`.  A path must be named in the command."""
    parameters: Annotated[dict[str, Any], Text.OF_THE_USER] = {}
    """Of the environment; checked by it.  Texts that it does not hold to a list must be named in the command."""
    curriculum: Annotated[CurriculumSettings | None, Text.OF_A_LIST] = None
    """How one parameter goes to its value as training goes on; none: it has it from the start."""
    copies: PositiveInt = 8
    """Stepped together while collecting."""
    most_steps: NonNegativeInt = 0
    """Steps after which an episode that is collected is cut, as by a time limit, and another one begins, the copies one
    after another; 0: its own time limit alone.  Where episodes are long, few begin: what the policy does at their
    beginning then changes unseen, and copies that have come into the same trouble stay in it.  Evaluations cut
    none."""
    workers: NonNegativeInt = 0
    """Processes that share the copies; 0: all in this process.  A step then costs about a millisecond of talk, so they
    pay where all copies together need many (large railways), and only on cores that are free while collecting; see
    benchmarks/collection.py.  Refused where copies are stepped together anyhow (SMAX, SMAC)."""

    @field_validator("parameters")
    @classmethod
    def _fit_into_a_run_folder(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(parameters, allow_nan=False, default=str)
        except ValueError as error:
            raise ValueError("holds a number that is not finite, which no run folder can keep; give another") from error
        return parameters

    @model_validator(mode="after")
    def _varies_here(self) -> Self:
        if self.curriculum is not None and self.workers:
            raise ValueError(
                f"environment.curriculum is set, but the copies of environment.workers = {self.workers} processes "
                "cannot be told its values; give 0 workers"
            )
        return self


class ScheduleSettings(Settings):
    """One iteration collects, then updates the model and the policy."""

    env_steps: PositiveInt
    """Environment steps (over all copies) after which training ends."""
    steps_per_iteration: PositiveInt
    """Steps of every copy per iteration."""
    minutes: NonNegativeFloat = 0.0
    """Stop after so much wall time even if steps are left; 0: no limit."""
    cpu_minutes: NonNegativeFloat = 0.0
    """Stop after so much processor time, worker processes included, even if steps are left; 0: no limit.  Unlike wall
    time it is the same whatever else the machine does."""
    stop_at_outcome: float | None = None
    """Stop when two evaluations in a row reach this outcome."""
    must_reach: bool = False
    """Whether a run that ends without `stop_at_outcome`, on the way or in the final evaluation, has missed its purpose:
    its state is then "target not reached", its exit code 10, and going on grants it as many steps again."""
    usual_env_steps: PositiveInt | None = None
    """After how many steps runs like this one have usually reached `stop_at_outcome`; for telling how long it takes."""
    overlap: Literal["auto"] | bool = "auto"
    """Collect an iteration's experience while the one before is learned from, acting with the networks from before
    that update.  auto: if the networks are on a GPU, as on a CPU the two would only take turns, and the algorithm may
    learn from what an older policy did."""

    @model_validator(mode="after")
    def _has_what_it_must_reach(self) -> Self:
        if self.must_reach and self.stop_at_outcome is None:
            raise ValueError("schedule.must_reach is true, but no schedule.stop_at_outcome says what must be reached")
        if self.must_reach and self.cpu_minutes:
            raise ValueError("schedule.must_reach goes on with schedule.minutes, and not with schedule.cpu_minutes")
        return self


class EvaluationSettings(Settings):
    every: PositiveInt = 20
    """Iterations between evaluations."""
    episodes: PositiveInt = 128
    copies: PositiveInt = 128
    """Stepped together while evaluating; as many as there are episodes at most."""
    most_steps: PositiveInt = 10_000
    """Steps after which an episode that its environment has not ended is cut; it counts for its return until then, or
    as not won, and the result says how many there were."""
    seed: Annotated[int, Field(ge=0, lt=2**64 - 1)] = 2**32
    """Of the evaluation episodes, which are the same every time and never those of training."""
    final_episodes: PositiveInt = 1000
    """Fresh episodes of the evaluation that ends a run."""
    sampled: bool = False
    """Evaluate the sampled policy as well as the greedy one."""
    export: bool = False
    """Write the bundles at every evaluation, too, and not only at the end: for `heliograph coordinator --follow`, which
    hands them to a team that runs meanwhile.  Takes seconds per agent."""
    snapshots: NonNegativeInt = 10
    """How many evaluations' networks are kept at most, for `heliograph evaluate --checkpoints all`; 0: none.  Those
    that scored highest are kept beside them."""

    @property
    def judged_by(self) -> str:
        """The measure in the run's records by which one evaluation is better than another."""
        return f"evaluate/{'sampled' if self.sampled else 'greedy'}_outcome"


class TrainSettings(Settings):
    """Of a run of any algorithm; `settings_class` adds the sections of one."""

    algorithm: Annotated[str, Text.OF_A_LIST] = DEFAULT_ALGORITHM
    """A name of `trainer.algorithms.registry`."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    device: Annotated[str, Text.OF_A_LIST] = "auto"
    """auto, cpu, cuda or cuda:1."""
    threads: NonNegativeInt = 0
    """CPU threads of torch; 0: its own choice."""
    compile: Literal["off", "default", "cuda-graphs"] = "off"
    """Compile the model update and imagination with torch.compile, or with CUDA graphs as well; for long GPU runs."""
    checkpoint_minutes: PositiveFloat = 5.0
    """Wall time between checkpoints."""
    environment: EnvironmentSettings
    schedule: ScheduleSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    replay: ReplaySettings = ReplaySettings()

    @model_validator(mode="after")
    def _suits_the_algorithm(self) -> Self:
        entry = algorithm_entry(self.algorithm)
        if self.compile != "off" and not entry.compiles:
            raise ValueError(f"compile is {self.compile}, but {self.algorithm} has nothing to compile")
        for section in self.sections():
            if isinstance(section, SuitsReplay) and (misfit := section.misfit(self.replay)):
                raise ValueError(misfit)
            if isinstance(section, SuitsLength) and (unlearned := section.unlearned(self._most_iterations())):
                raise ValueError(unlearned)
        if self.schedule.overlap is True and self._wants_newest_policy():
            why = "alone" if entry.on_policy else "too, with policy.experience_epochs"
            raise ValueError(
                f"schedule.overlap is true, but {self.algorithm} learns from its newest policy {why}, and what is "
                "collected ahead is of the one before"
            )
        if not entry.on_policy:
            return self
        # A row for every step, and at worst one more for an episode that begins.
        needed = 2 * self.environment.copies * self.schedule.steps_per_iteration
        if self.replay.capacity < needed:
            raise ValueError(
                f"replay.capacity is {self.replay.capacity}, but {self.algorithm} may need {needed} rows for an update"
            )
        return self

    def _most_iterations(self) -> int:
        return -(-self.schedule.env_steps // (self.environment.copies * self.schedule.steps_per_iteration))

    def overlaps(self, device_type: str) -> bool:
        """Whether an iteration's experience is collected while the one before is learned from."""
        if self.schedule.overlap == "auto":
            return device_type == "cuda" and not self._wants_newest_policy()
        return self.schedule.overlap

    def _wants_newest_policy(self) -> bool:
        """Whether what is learned of experience takes it for the doing of the policy as it is."""
        if algorithm_entry(self.algorithm).on_policy:
            return True
        return any(isinstance(each, ModelBasedSettings) and each.learns_from_experience for each in self.sections())

    def sections(self) -> tuple[Settings, ...]:
        """Those of the algorithm, in the order in which it takes them."""
        env_steps = self.environment.copies * self.schedule.steps_per_iteration
        found = (getattr(self, name) for name in algorithm_entry(self.algorithm).sections)
        return tuple(each.of_iteration(env_steps) if isinstance(each, ModelBasedSettings) else each for each in found)


def settings_class(algorithm: str) -> type[TrainSettings]:
    """Settings with the sections that an algorithm reads.  Raises SettingsError if nobody knows it."""
    return _with_sections(tuple(algorithm_entry(algorithm).sections.items()))


def resolve_settings(values: Mapping[str, Any], *, source: str) -> TrainSettings:
    """Validate values, which may hold sections of other algorithms if they say nothing.  Raises SettingsError."""
    algorithm = values.get("algorithm", DEFAULT_ALGORITHM)
    if not isinstance(algorithm, str):
        raise SettingsError(f"{source}: algorithm {algorithm!r} is no name")
    model = settings_class(algorithm)
    own = {}
    for name, value in values.items():
        if name not in model.model_fields and (other := section_owner(name)) is not None:
            section = other.settings_of(name)
            if resolve(section, value, source=f"{source}: {name}") != section():
                raise SettingsError(f"{source}: {name} is set, which {algorithm} does not read")
        else:
            own[name] = value
    return resolve(model, own, source=source)


@cache
def _with_sections(sections: tuple[tuple[str, str], ...]) -> type[TrainSettings]:
    fields: dict[str, Any] = {}
    for name, where in sections:
        section = resolve_name(where)
        fields[name] = (section, section())
    return create_model("TrainSettings", __base__=TrainSettings, __module__=__name__, **fields)


def read_settings(path: Path) -> TrainSettings:
    """What a `settings.json` holds.  Raises SettingsError."""
    try:
        document = read_json(path, limit=SMALL)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", remedy="Name another run folder") from None
    if not isinstance(document, dict):
        raise SettingsError(
            f"{path} holds a {type(document).__name__} and no settings", remedy="Name another run folder"
        )
    try:
        return resolve_settings(run_fields(document, path), source=str(path.parent))
    except SettingsError as error:
        raise SettingsError(f"{error.message}{begun_elsewhere(path.parent)}", remedy=error.remedy) from error


def settings_text(settings: TrainSettings) -> str:
    """What a `settings.json` holds, as `read_settings` reads it."""
    return RUN_FOLDER.text(settings.model_dump(mode="json"))


def differences(
    before: TrainSettings, after: TrainSettings, *, whole: Collection[str] = ()
) -> Iterator[tuple[str, Any, Any]]:
    """Each setting that is another, by dotted key, before and after; tables named in `whole` count as one setting."""

    def of(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any, Any]]:
        for name, value in one.items():
            then = other.get(name)
            if isinstance(value, Mapping) and isinstance(then, Mapping) and name not in whole:
                yield from of(value, then, f"{prefix}{name}.")
            elif value != then:
                yield f"{prefix}{name}", value, then

    return of(before.model_dump(), after.model_dump(), "")
