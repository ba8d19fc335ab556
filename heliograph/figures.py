"""Numbers and how far they are known: exact, at least so much, or unknown; never 0 for what nobody counted.

A dataclass with figures keeps an exact one as a number in its field.  One that is not exact is None there, with an
entry of the same name in the dataclass's `inexact`; None without an entry is a figure that does not exist, such as the
mean size of messages where none was sent.  In JSON it is just so:

    {"bits_per_agent_step": null, "inexact": {"bits_per_agent_step": {"at_least": 123.2, "why": "node 1 died …"}}}

Any package may import this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

UNKNOWN = "unknown"
SHARES = ("won", "arrived")
"""Outcomes from 0 to 1, which can be averaged over worlds as they are."""


@dataclass(frozen=True, kw_only=True)
class Inexact:
    """What is known of a figure that is not known exactly."""

    at_least: float | None
    """What was counted, where that is something; the rest can only add to it.  None: unknown."""
    why: str
    """In words, without a full stop."""

    def written(self, write: Callable[[float], str]) -> str:
        return UNKNOWN if self.at_least is None else f"at least {write(self.at_least)}"


class HasFigures(Protocol):
    """A dataclass whose figures may be inexact."""

    @property
    def inexact(self) -> Mapping[str, Inexact]: ...


def figures(counted: Mapping[str, float | None], *, doubt: str, bounds: bool = True) -> dict[str, Any]:
    """Counts as arguments of a dataclass with figures: as they are without a `doubt`, otherwise None and inexact.

    `bounds` says that what was counted is part of the true number; means and the like are none.  None stays None.
    """
    if not doubt:
        return {**counted, "inexact": {}}
    known = {name: value for name, value in counted.items() if value is not None}
    inexact = {name: Inexact(at_least=value if bounds and value else None, why=doubt) for name, value in known.items()}
    return {**dict.fromkeys(counted), "inexact": inexact}


def joined(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Several results of `figures` as the arguments of one dataclass."""
    fields: dict[str, Any] = {name: value for part in parts for name, value in part.items() if name != "inexact"}
    return {**fields, "inexact": {name: entry for part in parts for name, entry in part["inexact"].items()}}


def written(owner: HasFigures, name: str, write: Callable[[float], str] = str) -> str:
    """A figure as reports print it: `148.0`, `at least 123.2`, `unknown`, or nothing if it does not exist."""
    value = getattr(owner, name)
    if value is not None:
        return write(value)
    return "" if name not in owner.inexact else owner.inexact[name].written(write)


def doubts(owner: HasFigures) -> list[str]:
    """Why figures are inexact, each reason once."""
    return list(dict.fromkeys(entry.why for entry in owner.inexact.values()))
