"""Makes environments from an id and parameters, and lists the ids that are known.

An id is a name of `heliograph.environments.catalogue`, the import path of a module with a PettingZoo `parallel_env`
(`pettingzoo.sisl.pursuit_v4`), or `package.module:factory` with a factory of parallel environments of one's own.
Paths, and texts among the parameters, need a permission: see `heliograph.environments.permission`.
May be imported by `coordinator` and `trainer`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from heliograph.environments.catalogue import CATALOGUE, Entry
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.environments.vector import VectorEnvironment
from heliograph.errors import MissingExtra, SettingsError, UnknownEnvironment
from heliograph.extras import in_a_checkout, install
from heliograph.settings import Settings, did_you_mean, resolve

_FEW = 5
"""Environments of a family that a message names one by one."""


@dataclass(frozen=True, kw_only=True)
class KnownEnvironment:
    """One row of the list of environments."""

    id: str
    family: str
    """What it is listed under; most often what the ids of its kind begin with, such as `smax`."""
    summary: str
    package: str
    """What it needs beyond the base install; empty for nothing."""
    installed: bool
    install: str
    """How to install what it needs; empty for nothing."""


def make(
    environment: str,
    *,
    count: int,
    parameters: Mapping[str, Any] | None = None,
    workers: int = 0,
    permission: Permission = CATALOGUE_ONLY,
) -> VectorEnvironment:
    """Make `count` copies of an environment, in this process or spread over as many `workers`.

    Raises what `check` raises, MissingExtra for an environment whose package is not installed, SettingsError for a
    wrong parameter, WorldError if the environment cannot be used.
    """
    given = dict(parameters or {})
    check(environment, given, permission)
    entry = CATALOGUE.get(environment)
    if workers:
        return _pooled(environment, entry, count=count, parameters=given, workers=workers, permission=permission)
    if entry is not None and entry.settings:
        settings = resolve(_settings(entry), {**entry.defaults, **given}, source=f"parameters of {environment}")
        _require(environment, entry)
        made: VectorEnvironment = _loaded(entry.adapter)(settings, id=environment, count=count)
        return made
    from heliograph.environments.imported import imported_environment

    extras = {entry.package: entry.extra for entry in CATALOGUE.values() if entry.package}
    # Of what a signature vouches for only the name is known, which any file of the current folder could have.
    here = environment in permission.environments
    return imported_environment(environment, count=count, parameters=given, extras=extras, search_here=here)


def check(environment: str, parameters: Mapping[str, Any], permission: Permission) -> None:
    """Raise UnknownEnvironment for an id that means nothing, EnvironmentUntrusted for what the permission lacks.

    Imports nothing that the id or the parameters name.
    """
    if environment not in CATALOGUE and not _is_import_path(environment):
        raise UnknownEnvironment(f"there is no environment {environment!r}", remedy=_suggestion(environment))
    permission.check(environment, parameters)


def known_continuous(environment: str, parameters: Mapping[str, Any]) -> bool:
    """Whether it is known before an environment is made that its actions are vectors, as some adapters' settings tell.

    Imports no simulator.  Raises SettingsError for a wrong parameter of an environment with a name.
    """
    entry = CATALOGUE.get(environment)
    if entry is None or not entry.settings:
        return False
    settings = resolve(_settings(entry), {**entry.defaults, **parameters}, source=f"parameters of {environment}")
    return bool(getattr(settings, "continuous", False))


def _is_import_path(environment: str) -> bool:
    module, colon, factory = environment.partition(":")
    words = [*module.split("."), *([factory] if colon else [])]
    return len(words) > 1 and all(map(str.isidentifier, words))


def _pooled(
    environment: str,
    entry: Entry | None,
    *,
    count: int,
    parameters: Mapping[str, Any],
    workers: int,
    permission: Permission,
) -> VectorEnvironment:
    if entry is not None and entry.steps_at_once:
        raise SettingsError(
            f"{environment} {entry.steps_at_once}, so workers have nothing to add", remedy="Leave them at 0"
        )
    from heliograph.environments.workers.pool import pooled

    return pooled(environment, count=count, workers=workers, parameters=parameters, permission=permission)


def known() -> list[KnownEnvironment]:
    """All environments with a name of their own; makes none, and imports no simulator."""
    packages = {entry.package for entry in CATALOGUE.values()}
    present = {package: _importable(package) for package in packages}
    return [
        KnownEnvironment(
            id=name,
            family=family(name),
            summary=entry.summary,
            package=entry.package,
            installed=present[entry.package],
            install=_install_command(entry),
        )
        for name, entry in CATALOGUE.items()
    ]


def family(environment: str) -> str:
    """What an id is listed under: what its entry says, or what it begins with, up to its first hyphen or dot."""
    entry = CATALOGUE.get(environment)
    if entry is not None and entry.family:
        return entry.family
    return environment.partition("-")[0].partition(".")[0]


def _importable(package: str) -> bool:
    return not package or find_spec(package) is not None


def _install_command(entry: Entry) -> str:
    return entry.install or (f"pip install 'heliograph[{entry.extra}]'" if entry.extra else "")


def _require(environment: str, entry: Entry) -> None:
    if _importable(entry.package):
        return
    remedy = install(entry.extra)
    if entry.install:  # last, so that nothing is copied along with it
        hint = in_a_checkout(entry.install)
        remedy = f"{f'{hint}. ' if hint else ''}Install it with: {entry.install}"
    raise MissingExtra(f"environment {environment!r} needs {entry.package!r}, which is not installed", remedy=remedy)


def _settings(entry: Entry) -> type[Settings]:
    settings: type[Settings] = _loaded(entry.settings)
    return settings


def _loaded(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _suggestion(environment: str) -> str:
    hint = did_you_mean(environment, CATALOGUE)
    families: dict[str, list[str]] = {}
    for name in CATALOGUE:
        families.setdefault(family(name), []).append(name)
    named = families.get(family(environment)) or [
        name
        for kind, members in families.items()
        for name in (members if len(members) <= _FEW else [f"{len(members)} of {kind}"])
    ]
    return (
        f"{hint}Known are {', '.join(named)} (`heliograph environments` lists all), and paths `package.module:factory`"
    )
