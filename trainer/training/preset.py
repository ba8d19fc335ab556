"""Presets: TOML files of settings, alone or as families with a member per map and flavour.

A preset may name another one as `base`, whose values it overrides.  A file with `[variants.X]` tables is a family:
`FAMILY-X` takes the family's values and then the variant's.  `[flavours.F]` tables make further members,
`FAMILY-X-F`, whose own `base` lies beneath the family: how the paper, the authors' code or a small machine does the
same worlds.  A file whose `base` is a family is a family of the same members over those: how another algorithm
does them; with a list `keeps`, only of those flavours.  This module imports no framework, so a command can print
settings before torch loads.

Where values name another algorithm than those beneath them, the sections beneath that it does not read are left out,
or those parts of them that its entry in the registry says it inherits become its own: over a preset of MAMBA, MABL
learns as that does, and what has no world model takes over the world, its schedule and its evaluation alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from heliograph.errors import SettingsError
from heliograph.settings import did_you_mean, merge, read_toml
from trainer.algorithms.registry import algorithm_entry, section_owner
from trainer.training.settings import DEFAULT_ALGORITHM, TrainSettings, resolve_settings


@dataclass(frozen=True, kw_only=True)
class Member:
    """Where a preset's values are: a file, and for the member of a family its variant and flavour."""

    path: Path
    variant: str | None = None
    flavour: str | None = None


def preset_names() -> list[str]:
    """Names of the presets that come with the trainer."""
    return sorted(members())


def load_settings(preset: str, overrides: list[str]) -> TrainSettings:
    """Resolve a preset (a name, or the path of a TOML file) with `key=value` overrides.  Raises SettingsError."""
    member = Member(path=Path(preset)) if preset.endswith(".toml") else _named(preset)
    values = _values(member)
    values = _for_algorithm(values, merge(values, overrides).get("algorithm"))
    return resolve_settings(merge(values, overrides), source=f"preset {preset}")


@cache
def members() -> dict[str, Member]:
    """All presets, by name."""
    folder = Path(str(files("trainer") / "presets"))
    found = {}
    for path in folder.glob("*.toml"):
        for variant, flavour in _family(path):
            name = "-".join(part for part in (path.stem, variant, flavour) if part is not None)
            found[name] = Member(path=path, variant=variant, flavour=flavour)
    return found


def _family(path: Path) -> list[tuple[str | None, str | None]]:
    """Variant and flavour of each member; (None, None) for a preset that stands alone."""
    content = read_toml(path)
    if "variants" in content:
        flavours = [None, *content.get("flavours", {})]
        return [(variant, flavour) for variant in content["variants"] for flavour in flavours]
    below = path.parent / f"{content.get('base')}.toml"
    if not below.is_file():
        return [(None, None)]
    kept = content.get("keeps")
    return [member for member in _family(below) if kept is None or member[1] is None or member[1] in kept]


def _named(preset: str) -> Member:
    if preset not in members():
        hint = did_you_mean(preset, members())
        raise SettingsError(
            f"unknown preset {preset!r}", remedy=f"{hint}See `heliograph train --list-presets`, or name a TOML file"
        )
    return members()[preset]


def _values(member: Member) -> dict[str, Any]:
    content = read_toml(member.path)
    variants, flavours = content.pop("variants", {}), content.pop("flavours", {})
    if variants and member.variant is None:
        raise SettingsError(f"{member.path} is a family of presets", remedy=f"Name one of {', '.join(variants)}")
    flavour = flavours.get(member.flavour, {})
    base = flavour.get("base", content.get("base"))
    if member.variant is not None and not variants:  # over a family: each member over the same one of that
        base = "-".join(part for part in (base, member.variant, member.flavour) if part is not None)
    layers = [_values(_named(base)) if base is not None else {}, content, flavour, variants.get(member.variant, {})]
    values: dict[str, Any] = {}
    for layer in layers:
        values = _for_algorithm(values, layer.get("algorithm"))
        values = _overlay(values, {key: value for key, value in layer.items() if key not in ("base", "keeps")})
    return values


def _for_algorithm(values: dict[str, Any], algorithm: Any) -> dict[str, Any]:
    """Values beneath those that name `algorithm` (None if they name none): its own sections, or what it inherits."""
    if not isinstance(algorithm, str) or algorithm == values.get("algorithm", DEFAULT_ALGORITHM):
        return values
    entry = algorithm_entry(algorithm)
    kept: dict[str, Any] = {}
    inherited: dict[str, Any] = {}
    for name, value in values.items():
        other = None if name in entry.sections else section_owner(name)
        if other is None:
            kept[name] = value
        elif name in entry.inherits and isinstance(value, Mapping):
            own = entry.inherits[name]
            taken = _in_common(value, other.settings_of(name), entry.settings_of(own))
            inherited[own] = _overlay(inherited.get(own, {}), taken)
    return kept | {name: _overlay(value, kept.get(name, {})) for name, value in inherited.items()}


def _in_common(values: Mapping[str, Any], theirs: type[BaseModel], ours: type[BaseModel]) -> dict[str, Any]:
    """Without what their settings know and ours do not; what neither knows stays, to be refused by its name."""
    taken: dict[str, Any] = {}
    for name, value in values.items():
        their, our = theirs.model_fields.get(name), ours.model_fields.get(name)
        if our is None and their is not None:
            continue
        if isinstance(value, Mapping) and their is not None and our is not None:
            value = _in_common(value, their.annotation, our.annotation)  # type: ignore[arg-type]  # a section is a model
        taken[name] = value
    return taken


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _overlay(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return merged
