"""What a file may make of an environment: those of the catalogue, with numbers, switches and choices.

Bundles, run folders, presets and whatever else names an environment come from anywhere.  Code that they name is
imported, and a text that they hand to it - a path, an address, a command - is passed on, only if the user has named it
in the command or a trusted key has signed it.  `heliograph.environments.registry.make` asks the permission that it is
given, and by default there is none, so that a command that forgets it refuses.  docs/security.md has the whole model.

May be imported by `coordinator` and `trainer`; imports nothing heavy.
"""

from __future__ import annotations

import json
import pkgutil
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from heliograph.environments.catalogue import CATALOGUE
from heliograph.errors import EnvironmentUntrusted, SettingsError
from heliograph.settings import merge, parse_override, texts_of_the_user

HARMLESS_TEXTS = {"render_mode": ("rgb_array",)}
"""Of environments whose own package defines their parameters: pictures of ours are drawn so, and open no window."""


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What somebody vouches for beyond the catalogue."""

    environments: frozenset[str] = frozenset()
    """Ids that the user named in the command; the current folder is searched for these alone."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values that the user gave in the command, by name."""
    everything: bool = False
    """Somebody vouches for the id and all parameters: a trusted signature, or the program that calls."""
    source: str = "the caller"
    """Who names the environment, for the sentence of a refusal."""

    @classmethod
    def of_user(cls, environments: Iterable[str], overrides: Iterable[str] = ()) -> Permission:
        """What a command line names: ids, and `key=value` texts of parameters.  Raises SettingsError for a bad one."""
        return cls().also(environments, overrides)

    def also(self, environments: Iterable[str], overrides: Iterable[str] = ()) -> Permission:
        """With more that the user names.  Raises as `of_user`."""
        return replace(
            self, environments=self.environments.union(environments), parameters=merge(self.parameters, overrides)
        )

    def also_given(self, parameters: Mapping[str, Any]) -> Permission:
        """With more values that the user has given."""
        return replace(self, parameters={**self.parameters, **parameters})

    def also_in_settings(self, overrides: Iterable[str]) -> Permission:
        """With what `key=value` overrides of a training's settings name.  Raises SettingsError for a malformed one."""
        world = merge({}, overrides).get("environment")
        if not isinstance(world, Mapping):
            return self
        named, given = world.get("id"), world.get("parameters")
        also = self.also([named] if isinstance(named, str) else [])
        return also.also_given(given) if isinstance(given, Mapping) else also

    def of(self, source: str) -> Permission:
        """The same, for an environment that `source` names."""
        return replace(self, source=source)

    def check(self, environment: str, parameters: Mapping[str, Any]) -> None:
        """Raise EnvironmentUntrusted, with the flags that would allow it, for what nobody vouches for."""
        code = environment not in CATALOGUE and environment not in self.environments
        texts = {
            name: value
            for name, value in _texts(environment, parameters).items()
            if self.parameters.get(name, _NOTHING) != value
        }
        if self.everything or not (code or texts):
            return
        given = ", ".join(f"{name} = {value!r}" for name, value in texts.items())
        if code:
            also = f", with the parameters {given}" if texts else ""
            message = (
                f"{self.source} names the environment {environment!r}, which is code and not of the catalogue{also}"
            )
        else:
            message = f"{self.source} gives {environment!r} parameters that may reach out of the program: {given}"
        flags = _flags([environment] if code else [], texts)
        remedy = (
            f"If you trust it, add {flags}" if flags else "No flag can say this; sign the bundles, and trust the key"
        )
        raise EnvironmentUntrusted(message, remedy=remedy)


_NOTHING = object()
"""Equal to no value."""

CATALOGUE_ONLY = Permission()
"""What files get by themselves."""

EVERYTHING = Permission(everything=True)
"""For programs that chose the environment and its parameters themselves."""


def flags_for(environment: str, parameters: Mapping[str, Any]) -> str:
    """What to add to a command that reads this from a file; empty if it needs nothing, or no flag can say it."""
    return _flags([] if environment in CATALOGUE else [environment], _texts(environment, parameters))


def _texts(environment: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the parameters that may reach out of the program."""
    return {name: value for name, value in parameters.items() if not _harmless(environment, name, value)}


def _harmless(environment: str, name: str, value: Any) -> bool:
    """Whether the parameter stays within the program, whatever its value."""
    entry = CATALOGUE.get(environment)
    if entry is None or not entry.settings:
        return _plain(value) or value in HARMLESS_TEXTS.get(name, ())
    model = pkgutil.resolve_name(entry.settings)
    # What is unknown, or of the wrong kind, the settings themselves refuse.
    if name not in texts_of_the_user(model):
        return True
    return bool(value == entry.defaults.get(name, model.model_fields[name].default))


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float)


def _flags(environments: Iterable[str], texts: Mapping[str, Any]) -> str:
    """For a shell; empty where one of them cannot be said exactly."""
    words = [f"--allow-environment {shlex.quote(environment)}" for environment in environments]
    for name, value in texts.items():
        text = f"{name}={_toml(value)}"
        try:
            exact = text.isprintable() and parse_override(text) == ([name], value)
        except SettingsError:
            exact = False
        if not exact:
            return ""
        words.append(f"--allow-parameter {shlex.quote(text)}")
    return " ".join(words)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
