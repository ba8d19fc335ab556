"""The lines of a recording: what a file holds, for its writer, its reader and the documentation.

Axis legend: N agents, D observation size, A actions, or dimensions of a continuous one, K categoricals, C classes,
S state size.
"""

from __future__ import annotations

from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from coordinator.recording.spelling import (
    Actions,
    Array,
    Bounds,
    Counts,
    Delays,
    Dimensions,
    Latents,
    Message,
    NotAsDeclared,
    OneOf,
    Pairs,
    Spelling,
    unexpected,
)
from heliograph.action_rows import ActionRows
from heliograph.actions import ContinuousActions, DiscreteActions
from heliograph.codecs.message_format import MessageFormat

FORMAT: Final = "heliograph-recording"
VERSION: Final = 3
OLDER = 2
"""The oldest version that is still read."""

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**64 - 1)]
Size = Annotated[int, Field(ge=1, le=2**24)]
SizeOrNone = Annotated[int, Field(ge=0, le=2**24)]
TeamSize = Annotated[int, Field(ge=1, le=4096)]
"""Its square is the size of an array."""
Number = Annotated[float, Field(allow_inf_nan=False)]
# JSON has lists alone, and what is read is not changed any more.
Texts = Annotated[tuple[str, ...], Field(strict=False)]


class Since:
    """Metadata of a field that older versions of the format lack; it has its default there."""

    def __init__(self, version: int) -> None:
        self.version = version


class MalformedLine(Exception):
    """What is wrong with a line; the message goes on after "line 17:"."""


class Line(BaseModel):
    """One line of the file: a JSON object that has every field, in this order, and no other."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, use_attribute_docstrings=True
    )

    def written(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(by_alias=True, warnings=False)


class TraceHeader(Line):
    """The first line: what was run, how, and what the numbers of the steps mean."""

    kind: Literal["header"] = "header"
    """Of the line."""
    format: Literal["heliograph-recording"] = FORMAT
    """Of the file."""
    version: Annotated[int, Field(ge=OLDER, le=VERSION)] = VERSION
    """Of the format."""
    environment: str
    """The environment's id."""
    parameters: dict[str, Any]
    """Of the environment."""
    algorithm: str
    """Of the bundles."""
    run_seed: Seed
    """All random numbers of the run follow from it."""
    greedy: bool
    """Whether agents took the most probable action."""
    late_policy: Annotated[str, OneOf("mask", "hold", "predict")]
    """Whether a message that came too late was treated as missing, or the last one was reused."""
    codec: str
    """How agents wrote latents to one another."""
    channel: str | None
    """What `Channel.parse` reads; null for links without simulated faults."""
    agents: TeamSize
    """N."""
    observation_size: Size
    """D."""
    actions: Size
    """A."""
    continuous: Annotated[tuple[ContinuousActions | None, ...], Bounds(), Since(3)] = ()
    """Bounds and bits of continuous actions, agent by agent; null for an agent whose own are numbered."""
    state_size: SizeOrNone
    """S; 0 where the simulator has no global state."""
    message: Annotated[MessageFormat | None, Message()]
    """What a latent is made of."""
    recurrent_size: SizeOrNone
    """Numbers in an agent's recurrent state."""
    bundles: Texts
    """The digest of each slot's bundle."""
    tables: Annotated[npt.NDArray[np.int64] | None, Counts()]
    """How often ids occurred in training."""
    observation_names: Texts
    """What each number of an observation is; or []."""
    state_names: Texts
    """What each number of the state is; or []."""

    @field_validator("bundles", "observation_names", "state_names")
    @classmethod
    def _has_one_for_each(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        sizes = {"bundles": "agents", "observation_names": "observation_size", "state_names": "state_size"}
        whole = info.data.get(sizes[str(info.field_name)])
        if len(names) != whole and (names or info.field_name == "bundles"):
            allowed = f"{whole}" if info.field_name == "bundles" else f"0 or {whole}"
            raise unexpected(list(names), f"a list of {allowed} texts")
        return names

    @cached_property
    def rows(self) -> ActionRows:
        """How actions stand in one array, and so how messages tell them."""
        size = next((space.size for space in self.continuous if space is not None), 0)
        numbered = None if size == self.actions else DiscreteActions(count=self.actions - size)
        spaces = self.continuous or (None,) * self.agents
        return ActionRows(tuple(space for each in spaces if (space := each or numbered) is not None))

    @property
    def dimensions(self) -> Dimensions:
        """In which the other lines are read."""
        sizes = {"N": self.agents, "D": self.observation_size, "A": self.actions}
        if self.rows.size:
            (sizes["R"],) = self.rows.shape
        if self.message is not None:
            sizes["K"] = self.message.categoricals
        if self.state_size:
            sizes["S"] = self.state_size
        classes = 0 if self.message is None else self.message.classes
        return Dimensions(sizes=sizes, classes=classes, rows=self.rows)


class StepLine(Line):
    """One step of an episode that was finished."""

    kind: Literal["step"] = "step"
    """Of the line."""
    pass_name: str = Field(alias="pass")
    """"open", or "cut" where no message reached anybody."""
    episode: Count
    """Numbered through the whole run."""
    step: Count
    """From 0 in each episode."""
    present: Annotated[npt.NDArray[np.bool_], Array("bool", "N")]
    """Which agents' part of the episode was not over."""
    observation: Annotated[npt.NDArray[np.float32], Array("float32", "N", "D")]
    """What each agent perceived; zeros where not present."""
    action_mask: Annotated[npt.NDArray[np.bool_], Array("bool", "N", "A", digits=True)]
    """Which actions were legal; all where not present."""
    hears: Annotated[npt.NDArray[np.bool_], Pairs()]
    """The neighbours of each agent: whose messages of the step before it may read."""
    masked: Annotated[npt.NDArray[np.bool_], Pairs()]
    """Of those, whose messages were not there in time, for whatever reason."""
    lost: Annotated[npt.NDArray[np.bool_], Pairs()]
    """Whose message of the step before the simulated channel lost."""
    delay: Annotated[npt.NDArray[np.int64], Delays()] = Field(alias="late")
    """Whose message of the step before it delayed, and by how many steps."""
    acted: Annotated[npt.NDArray[np.bool_], Array("bool", "N")]
    """False where the world took the idle action for the agent."""
    action: Annotated[npt.NDArray[np.int64 | np.float32], Actions()]
    """What was done, as applied."""
    reward: Annotated[npt.NDArray[np.float32], Array("float32", "N")]
    """What each agent earned by it."""
    latent: Annotated[npt.NDArray[np.int32] | None, Latents()]
    """What each agent sent to its receivers; -1 all along where that was not reported."""
    state: Annotated[npt.NDArray[np.float32] | None, Array("float32", "S")]
    """The simulator's global state before the actions; null where it has none.  No agent is ever told of it."""

    @field_validator("masked")
    @classmethod
    def _was_readable(cls, masked: npt.NDArray[np.bool_], info: ValidationInfo) -> npt.NDArray[np.bool_]:
        hears = info.data.get("hears")
        if hears is not None and (masked & ~hears).any():
            raise unexpected(Pairs().write(masked), "some of the neighbours")
        return masked


class EpisodeLine(Line):
    """The end of an episode, after its steps."""

    kind: Literal["episode"] = "episode"
    """Of the line."""
    pass_name: str = Field(alias="pass")
    """As in the steps before it."""
    team_return: Number = Field(alias="return")
    """Sum of rewards, mean over agents."""
    episode: Count
    """As in the steps before it."""
    seed: Seed
    """That the environment was reset with."""
    steps: Count
    """How many there were."""
    outcome: Number
    """As the environment measures it."""


class EndLine(Line):
    """The last line, without which a file is not whole: totals of all lines before it."""

    kind: Literal["end"] = "end"
    """Of the line."""
    episodes: Count
    """How many were finished."""
    steps: Count
    """How many there are."""
    sent: Annotated[npt.NDArray[np.int64], Array("int64", "N", "N")]
    """Messages that i sent to j, which follows from who was whose neighbour."""
    heard: Annotated[npt.NDArray[np.int64], Array("int64", "N", "N")]
    """Messages of j that i read."""


STEP_ARRAYS = tuple(
    name for name, field in StepLine.model_fields.items() if any(isinstance(mark, Spelling) for mark in field.metadata)
)
"""Fields of a step that are arrays, or null throughout a file."""

LINES: tuple[type[Line], ...] = (TraceHeader, StepLine, EpisodeLine, EndLine)

LineT = TypeVar("LineT", bound=Line)


def read_line(
    model: type[LineT], line: dict[str, Any], *, version: int = VERSION, dimensions: Dimensions | None = None
) -> LineT:
    """A line of a file of that version, in the `dimensions` of its header.  Raises MalformedLine."""
    expected = keys(model, version)
    if line.keys() != expected:
        missing, unknown = sorted(expected - line.keys()), sorted(line.keys() - expected)
        raise MalformedLine(f"lacks {missing}" if missing else f"has fields that do not belong there: {unknown}")
    try:
        return model.model_validate(line, context=dimensions)
    except ValidationError as error:
        raise MalformedLine(_complaint(model, error)) from None


@cache
def keys(model: type[Line], version: int = VERSION) -> frozenset[str]:
    """Of the JSON object that a line is."""
    return frozenset(field.alias or name for name, field in model.model_fields.items() if since(field) <= version)


def since(field: FieldInfo) -> int:
    """The first version of the format that has the field."""
    return next((mark.version for mark in field.metadata if isinstance(mark, Since)), OLDER)


def phrase(field: FieldInfo) -> str:
    """What stands in a field of the file, in words."""
    marks: dict[type, Any] = {type(mark): mark for mark in field.metadata}
    for mark in field.metadata:
        if isinstance(mark, Spelling):
            return mark.phrase
    if Ge in marks and Le in marks:
        return f"an integer in {marks[Ge].ge}..{marks[Le].le}"
    return _phrase_of(field.annotation)


def _phrase_of(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f'"{value}"' for value in get_args(kind))
    if get_origin(kind) is UnionType:
        return " or ".join(_phrase_of(part) for part in get_args(kind))
    return {
        bool: "true or false",
        str: "text",
        float: "a number",
        NoneType: "null",
        dict: "an object",
        tuple: "a list of texts",
    }[get_origin(kind) or kind]


def _complaint(model: type[Line], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = str(first["loc"][0])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, NotAsDeclared):
        return f"has {key} {cause}"
    field = next(field for name, field in model.model_fields.items() if key in (name, field.alias))
    within_it = "" if len(first["loc"]) == 1 else "with "
    return f"has {key} {within_it}{unexpected(first['input'], phrase(field))}"
