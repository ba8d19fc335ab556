"""Parts of networks that some trainings have and others of the same sizes do not, such as a head that only an auxiliary
loss is about: between those, networks carry over without them.

A module names its own in a class variable `OPTIONAL_PARTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What of one module's weights another one takes."""

    weights: dict[str, Tensor]
    """Its whole state."""
    anew: tuple[str, ...]
    """Optional parts that stay as they are, since there are none to take, or none of their sizes."""
    left_out: tuple[str, ...]
    """Optional parts that it has no use for."""


def fitted(weights: Mapping[str, Tensor], module: nn.Module) -> Fitted:
    """The weights for a module, by its optional parts; what else does not fit is left for `load_state_dict` to tell."""
    own = module.state_dict()
    found = dict(weights)
    anew: list[str] = []
    left_out: list[str] = []
    for part in getattr(module, "OPTIONAL_PARTS", ()):
        mine = {key: value for key, value in own.items() if key.startswith(f"{part}.")}
        given = {key: value for key, value in weights.items() if key.startswith(f"{part}.")}
        if {key: value.shape for key, value in mine.items()} == {key: value.shape for key, value in given.items()}:
            continue
        (anew if mine else left_out).append(part)
        found = {key: value for key, value in found.items() if key not in given} | mine
    return Fitted(weights=found, anew=tuple(anew), left_out=tuple(left_out))
