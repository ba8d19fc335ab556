"""Presets: TOML files of settings, alone or as families with a member per map and flavour.

A preset may name another one as `base`, whose values it overrides.  A file with `[variants.X]` tables is a family:
`FAMILY-X` takes the family's values and then the variant's.  `[flavours.F]` tables make further members,
`FAMILY-X-F`, whose own `base` lies beneath the family: how the paper, the authors' code or a small machine does the
same worlds.  A file whose `base` is a family is a family of the same members over those: how another algorithm
does them; with a list `keeps`, only of those flavours.  This module imports no framework, so a command can print
settings before torch loads.

Over a preset of MAMBA, MABL learns as that does, wherever the two have the same to learn, and what has no world model
takes over nothing but the world, its schedule and its evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from heliograph.errors import SettingsError
from heliograph.settings import did_you_mean, merge, read_toml, resolve
from trainer.training.settings import ON_POLICY, TrainSettings
from trainer.world_model.bilevel_settings import BilevelSettings


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
    algorithm = merge(values, overrides).get("algorithm")
    if algorithm == "mabl":
        values = _of_mabl(values)
    elif algorithm in ON_POLICY:
        values = {key: value for key, value in values.items() if key != "mamba"}
    return resolve(TrainSettings, merge(values, overrides), source=f"preset {preset}")


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
        values = _overlay(values, {key: value for key, value in layer.items() if key not in ("base", "keeps")})
    return values


def _of_mabl(values: dict[str, Any]) -> dict[str, Any]:
    """Values in which MABL takes over from MAMBA whatever its own settings know, too."""
    kept = {key: value for key, value in values.items() if key != "mamba"}
    taken = dict(values.get("mamba", {}))
    known = BilevelSettings.model_fields.keys()
    taken["model"] = {key: value for key, value in taken.get("model", {}).items() if key in known}
    return kept | {"mabl": _overlay(taken, values.get("mabl", {}))}


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _overlay(under, value) if isinstance(value, dict) and isinstance(under, dict) else value
    return merged
