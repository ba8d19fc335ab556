"""Which tensors of a foreign graph mean what.  Plain data, which the command line and Python fill in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from heliograph.errors import SettingsError

Deviation = Literal["scale", "log"]
"""What a graph puts out as the deviation of a Gaussian: the deviation, or its natural logarithm."""
Squashing = Literal["tanh", "clip"]
"""How a sample becomes an action: by tanh, in units of its bounds, or cut off at the bounds, in the world's units."""


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
        return [self.observation, *self.state, *([] if self.mask is None else [self.mask])]

    @property
    def outputs(self) -> list[str]:
        named = (self.logits, self.mean, self.deviation)
        return [*(name for name in named if name is not None), *self.state.values()]


def tensor_names(given: Mapping[str, Any]) -> TensorNames:
    """Of a plain mapping.  Raises SettingsError for a key that means nothing."""
    known = [entry.name for entry in fields(TensorNames)]
    for key in given:
        if key not in known:
            raise SettingsError(f"no tensor of a policy is called {key!r}", remedy=f"Say {', '.join(known)}")
    if "observation" not in given:
        raise SettingsError("nothing says which input the observation is", remedy="Name it: observation")
    return TensorNames(**given)


def state_name(tensor: str) -> str:
    """What a bundle calls the state of this tensor: letters, digits and underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", tensor.lower()).strip("_")
    return name if name[:1].isalpha() else f"state_{name}"
