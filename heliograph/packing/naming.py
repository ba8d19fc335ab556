"""Which tensors of a foreign graph mean what.  Plain data, which the command line and Python fill in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from heliograph.codecs.message_format import MessageFormat
from heliograph.codecs.message_values import MessageValues
from heliograph.errors import SettingsError

Deviation = Literal["scale", "log"]
"""What a graph puts out as the deviation of a Gaussian: the deviation, or its natural logarithm."""
Squashing = Literal["tanh", "clip"]
"""How a sample becomes an action: by tanh, in units of its bounds, or cut off at the bounds, in the world's units."""


_LARGEST = 2.0**100
"""Of a message's numbers; their differences and products are finite in single precision."""
_FINEST = 2.0**-21
"""The narrowest cell by the size of numbers: four steps of single precision."""


@dataclass(frozen=True, kw_only=True)
class MessageNames:
    """Where a foreign graph talks: the real vector that it sends, and the rows of all agents that it takes.

    Numbers are sent as ids, the cell of `low` to `high` in which each lies.  Raises SettingsError for what is no range.
    """

    output: str
    """The agent's own vector, which the others get with the next step."""
    inbox: str
    """A row for each slot, in order; zeros where nothing has come, and all of them at a first step."""
    present: str | None = None
    """An input that says whose rows have come, where the graph takes one."""
    own: bool = True
    """The own row holds what the agent itself sent last; otherwise it is zeros, too."""
    low: float = -1.0
    high: float = 1.0
    levels: int = 256
    """Cells."""

    def __post_init__(self) -> None:
        try:
            MessageFormat(categoricals=1, classes=self.levels)
            MessageValues(low=self.low, high=self.high)
        except ValueError as error:
            raise SettingsError(f"messages cannot be written so: {error}") from None
        largest, cell = max(abs(self.low), abs(self.high)), self.values.cell(self.levels)
        if largest > _LARGEST or cell < largest * _FINEST:
            raise SettingsError(
                f"messages cannot be written so: graphs compute in single precision, which does not tell {self.levels} "
                f"cells from {self.low:g} to {self.high:g} apart",
                remedy="Take fewer levels or a wider range, or shift the numbers in the policy",
            )

    @property
    def values(self) -> MessageValues:
        """As a manifest states it."""
        return MessageValues(low=self.low, high=self.high)


@dataclass(frozen=True, kw_only=True)
class TensorNames:
    """The names of a foreign graph's tensors.  Raises SettingsError unless they say one policy.

    A policy over numbered actions has `logits`, one over vectors a `mean`, and if it is not certain a `deviation`.
    """

    observation: str
    logits: str | None = None
    mean: str | None = None
    deviation: str | None = None
    deviation_is: Deviation = "scale"
    squash: Squashing = "tanh"
    state: Mapping[str, str] = field(default_factory=dict)
    """Recurrent state: the input's name to that of the output that holds its successor; zeros at a first step."""
    mask: str | None = None
    """An input for the action mask, where the graph takes one; 1 or true for what is legal."""
    append_id: bool = False
    """The graph's observation ends in the agent's slot, one-hot."""
    message: MessageNames | None = None
    """None: it sends nothing."""

    def __post_init__(self) -> None:
        if (self.logits is None) == (self.mean is None):
            raise SettingsError(
                "a policy is either over numbered actions or over vectors",
                remedy="Name its logits, or its mean and deviation",
            )
        if self.deviation is not None and self.mean is None:
            raise SettingsError(f"a deviation {self.deviation!r} needs a mean", remedy="Name the mean as well")
        for name, value, known in (
            ("deviation_is", self.deviation_is, get_args(Deviation)),
            ("squash", self.squash, get_args(Squashing)),
        ):
            if value not in known:
                raise SettingsError(f"{name} is {value!r}", remedy=f"Say {' or '.join(known)}")
        states = [state_name(name) for name in self.state]
        if len(set(states)) < len(states):
            raise SettingsError(f"the states {', '.join(self.state)} cannot be told apart by letters and digits")

    @property
    def inputs(self) -> list[str]:
        said = () if self.message is None else (self.message.inbox, self.message.present)
        return [self.observation, *self.state, *(name for name in (self.mask, *said) if name is not None)]

    @property
    def outputs(self) -> list[str]:
        named = (self.logits, self.mean, self.deviation, None if self.message is None else self.message.output)
        return [*(name for name in named if name is not None), *self.state.values()]


def tensor_names(given: Mapping[str, Any]) -> TensorNames:
    """Of a plain mapping.  Raises SettingsError for a key that means nothing."""
    _check_keys(given, TensorNames, needed={"observation": "input"})
    message = given.get("message")
    if isinstance(message, Mapping):
        _check_keys(message, MessageNames, needed={"output": "tensor", "inbox": "tensor"})
        message = MessageNames(**message)
    return TensorNames(**{**given, "message": message})


def _check_keys(given: Mapping[str, Any], model: type, *, needed: Mapping[str, str]) -> None:
    known = [entry.name for entry in fields(model)]
    for key in given:
        if key not in known:
            raise SettingsError(f"no tensor of a policy is called {key!r}", remedy=f"Say {', '.join(known)}")
    for key, kind in needed.items():
        if key not in given:
            raise SettingsError(f"nothing says which {kind} the {key} is", remedy=f"Name it: {key}")


def state_name(tensor: str) -> str:
    """What a bundle calls the state of this tensor: letters, digits and underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", tensor.lower()).strip("_")
    return name if name[:1].isalpha() else f"state_{name}"
