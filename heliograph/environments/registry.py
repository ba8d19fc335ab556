"""Makes environments from an id and parameters, and lists the ids that are known.

An id is a name of `heliograph.environments.catalogue`, the import path of a module with a PettingZoo `parallel_env`
(`mpe2.simple_spread_v3`), or `package.module:factory` with a factory of parallel environments of one's own.
May be imported by `coordinator` and `trainer`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from heliograph.environments.catalogue import CATALOGUE, Entry
from heliograph.environments.vector import EnvironmentSpec, VectorEnvironment
from heliograph.errors import MissingExtra, SettingsError, UnknownEnvironment
from heliograph.settings import Settings, resolve


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


def make(
    environment: str, *, count: int, parameters: Mapping[str, Any] | None = None, workers: int = 0
) -> VectorEnvironment:
    """Make `count` copies of an environment, in this process or spread over as many `workers`.

    Raises UnknownEnvironment for an id that means nothing, MissingExtra for one whose package is not installed,
    SettingsError for a wrong parameter, WorldError if the environment cannot be used.
    """
    given = dict(parameters or {})
    entry = CATALOGUE.get(environment)
    if workers:
        return _pooled(environment, entry, count=count, parameters=given, workers=workers)
    if entry is not None and entry.settings:
        settings = resolve(_settings(entry), {**entry.defaults, **given}, source=f"parameters of {environment}")
        _require(environment, entry)
        return _loaded(entry.adapter)(settings, id=environment, count=count)
    if entry is None and "." not in environment and ":" not in environment:
        raise UnknownEnvironment(f"there is no environment {environment!r}", remedy=_suggestion(environment))
    from heliograph.environments.imported import imported_environment

    extras = {entry.package: entry.extra for entry in CATALOGUE.values() if entry.package}
    return imported_environment(environment, count=count, parameters=given, extras=extras)


def _pooled(
    environment: str, entry: Entry | None, *, count: int, parameters: Mapping[str, Any], workers: int
) -> VectorEnvironment:
    if entry is not None and entry.steps_at_once:
        raise SettingsError(
            f"{environment} {entry.steps_at_once}, so workers have nothing to add", remedy="Leave them at 0"
        )
    from heliograph.environments.pool import pooled

    return pooled(environment, count=count, workers=workers, parameters=parameters)


def known() -> list[KnownEnvironment]:
    """All environments with a name of their own; makes one copy of each that is installed."""
    return [
        KnownEnvironment(
            id=name,
            summary=entry.summary,
            installed=_installed(entry),
            install=_install_command(entry),
            spec=_spec(name) if _installed(entry) else None,
            parameters=tuple(_settings(entry).model_fields) if entry.settings else None,
        )
        for name, entry in CATALOGUE.items()
    ]


def _spec(environment: str) -> EnvironmentSpec:
    made = make(environment, count=1)
    made.close()
    return made.spec


def _installed(entry: Entry) -> bool:
    return not entry.package or find_spec(entry.package) is not None


def _install_command(entry: Entry) -> str:
    return f"pip install 'heliograph[{entry.extra}]'" if entry.extra else ""


def _require(environment: str, entry: Entry) -> None:
    if not _installed(entry):
        raise MissingExtra(
            f"environment {environment!r} needs {entry.package!r}, which is not installed",
            remedy=f"Install it with: {_install_command(entry)}",
        )


def _settings(entry: Entry) -> type[Settings]:
    return _loaded(entry.settings)


def _loaded(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _suggestion(environment: str) -> str:
    close = difflib.get_close_matches(environment, CATALOGUE, n=3)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}Known are {', '.join(CATALOGUE)}, and import paths `package.module:factory`"
