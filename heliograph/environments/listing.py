"""Everything that there is to say about one environment: its dimensions, its parameters, who else plays it.

May be imported by `coordinator`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.environments import registry
from heliograph.environments.catalogue import CATALOGUE
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.reference import reference_names
from heliograph.environments.registry import KnownEnvironment
from heliograph.environments.vector import EnvironmentSpec


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One knob of an environment."""

    name: str
    default: Any
    """As the environment's name sets it, as a JSON value."""
    values: str
    """What it may be: a type, with its limits, or a choice."""
    help: str


@dataclass(frozen=True, kw_only=True)
class DescribedEnvironment:
    """One environment in full."""

    known: KnownEnvironment
    spec: EnvironmentSpec | None
    """With the parameters that were given, and otherwise the default ones; None where it is not installed."""
    parameters: tuple[Parameter, ...] | None
    """None where the environment's own package defines them."""
    references: tuple[str, ...]
    """Policies to compare a team with."""


def describe(
    environment: str, *, parameters: Mapping[str, Any] | None = None, permission: Permission = CATALOGUE_ONLY
) -> DescribedEnvironment:
    """Make one copy of an environment, if it is installed, and tell all about it.

    Raises what `registry.make` raises; of an environment with a name, not MissingExtra.
    """
    own = KnownEnvironment(
        id=environment, family="", summary="your own environment", package="", installed=True, install=""
    )
    row = next((row for row in registry.known() if row.id == environment), own)
    spec = None
    if row.installed:
        made = registry.make(environment, count=1, parameters=parameters, permission=permission)
        spec = made.spec
        made.close()
    return DescribedEnvironment(
        known=row, spec=spec, parameters=_parameters(environment), references=reference_names(environment)
    )


def _parameters(environment: str) -> tuple[Parameter, ...] | None:
    entry = CATALOGUE.get(environment)
    if entry is None or not entry.settings:
        return None
    module, _, name = entry.settings.partition(":")
    schema = getattr(importlib.import_module(module), name).model_json_schema()
    return tuple(
        Parameter(
            name=name,
            default=entry.defaults.get(name, described.get("default")),
            values=_values(described),
            help=" ".join(described.get("description", "").split()),
        )
        for name, described in schema["properties"].items()
    )


def _values(described: dict[str, Any]) -> str:
    """Say in words what the JSON schema of a value allows."""
    if "anyOf" in described:
        return " or ".join(_values(choice) for choice in described["anyOf"])
    if "const" in described:
        return str(described["const"])
    if "enum" in described:
        return ", ".join(map(str, described["enum"]))
    kind = {"null": "nothing", "boolean": "true, false", "string": "text"}.get(described["type"], described["type"])
    low, high = (described.get(edge, described.get(f"exclusive{edge.title()}")) for edge in ("minimum", "maximum"))
    from_low = "" if low is None else f" {'from' if 'minimum' in described else 'above'} {low}"
    to_high = "" if high is None else f" {'to' if 'maximum' in described else 'below'} {high}"
    return f"{kind}{from_low}{to_high}"
