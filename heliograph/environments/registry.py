"""Makes environments from an id and parameters, and lists the ids that are known.

An id is the name of a built-in task, the import path of a module with a PettingZoo `parallel_env`
(`mpe2.simple_spread_v3`), or `package.module:factory` with a factory of parallel environments of one's own.
May be imported by `coordinator` and `trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from heliograph.environments.relay import RelayEnvironment, RelaySettings
from heliograph.environments.relay_signal import RelaySignalEnvironment, RelaySignalSettings
from heliograph.environments.vector import EnvironmentSpec, VectorEnvironment
from heliograph.errors import UnknownEnvironment
from heliograph.settings import Settings, resolve


@dataclass(frozen=True, kw_only=True)
class _BuiltIn:
    summary: str
    settings: type[Settings]
    make: Callable[..., VectorEnvironment]


@dataclass(frozen=True, kw_only=True)
class _Adapted:
    summary: str
    package: str
    extra: str


_BUILT_IN = {
    "relay": _BuiltIn(
        summary="walk to a target that only a teammate can see", settings=RelaySettings, make=RelayEnvironment
    ),
    "relay-signal": _BuiltIn(
        summary="name a symbol that only a teammate can see", settings=RelaySignalSettings, make=RelaySignalEnvironment
    ),
}

_ADAPTED = {
    "mpe2.simple_spread_v3": _Adapted(
        summary="cover all landmarks without bumping into one another", package="mpe2", extra="mpe"
    ),
    "mpe2.simple_speaker_listener_v4": _Adapted(
        summary="a speaker that cannot move, a listener that cannot see", package="mpe2", extra="mpe"
    ),
}


@dataclass(frozen=True, kw_only=True)
class KnownEnvironment:
    """One row of the list of environments."""

    id: str
    summary: str
    installed: bool
    install: str
    """Command that installs what is missing; empty for what needs nothing."""
    spec: EnvironmentSpec | None
    """Dimensions, limits and capabilities with default parameters; None where it is not installed."""
    parameters: tuple[str, ...] | None
    """Names of the parameters; None where the environment's own package defines them."""


def make(environment: str, *, count: int, parameters: Mapping[str, Any] | None = None) -> VectorEnvironment:
    """Make `count` copies of an environment.

    Raises UnknownEnvironment for an id that means nothing, MissingExtra for one whose package is not installed,
    SettingsError for a wrong parameter, WorldError if the environment cannot be used.
    """
    given = dict(parameters or {})
    built_in = _BUILT_IN.get(environment)
    if built_in is not None:
        settings = resolve(built_in.settings, given, source=f"parameters of {environment}")
        return built_in.make(settings, count=count)
    if "." not in environment and ":" not in environment:
        raise UnknownEnvironment(
            f"there is no environment {environment!r}",
            remedy=f"Known are {', '.join([*_BUILT_IN, *_ADAPTED])}, and import paths `package.module:factory`",
        )
    from heliograph.environments.imported import imported_environment

    extras = {entry.package: entry.extra for entry in _ADAPTED.values()}
    return imported_environment(environment, count=count, parameters=given, extras=extras)


def known() -> list[KnownEnvironment]:
    """All environments with a name of their own, built-in ones first; makes one copy of each that is installed."""
    rows = [
        KnownEnvironment(
            id=name,
            summary=entry.summary,
            installed=True,
            install="",
            spec=_spec(name),
            parameters=tuple(entry.settings.model_fields),
        )
        for name, entry in _BUILT_IN.items()
    ]
    for name, entry in _ADAPTED.items():
        installed = find_spec(entry.package) is not None
        rows.append(
            KnownEnvironment(
                id=name,
                summary=entry.summary,
                installed=installed,
                install=f"pip install 'heliograph[{entry.extra}]'",
                spec=_spec(name) if installed else None,
                parameters=None,
            )
        )
    return rows


def _spec(environment: str) -> EnvironmentSpec:
    made = make(environment, count=1)
    made.close()
    return made.spec
