"""The three axes of presets, as the files of `trainer/presets` say them: variants, worlds, algorithms.

A file is settings in TOML, with a comment on top that says what it is for, and these tables and names beside them:

- `variants/V.toml`: how large MAMBA is and whose conventions it follows; all else departs from one.  `base` is the
  variant beneath it, `[worlds.W]` what its source lists for a world.
- `worlds/W.toml`: `[variants.V]` says which variants there are, first the one that names leave out, and what is another
  in each; `[maps]` which maps, and what is another on each; `{map}` in `environment.id` stands for the map's name.
  `unnamed` is the algorithm that names leave out.
- `algorithms/A.toml`: `base` is the algorithm beneath it; `[variants.V]`, `[worlds.W]`, `[worlds.W.variants.V]`,
  `[worlds.W.maps.M]` and `[worlds.W.maps.M.variants.V]` hold for these alone.  `keeps` limits its variants and
  `without` its worlds, and those of all algorithms over it.

This module imports no framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

from heliograph.settings import read_toml

Values = dict[str, Any]
"""Settings as tables in tables, not all of them."""
FOLDER = Path(str(files("trainer") / "presets"))


@dataclass(frozen=True, kw_only=True)
class Variant:
    purpose: str
    base: str | None
    values: Values
    worlds: dict[str, Values]

    def layers(self, world: str | None) -> Iterator[Values]:
        """What it says for a world, or for any."""
        if self.base is not None:
            yield from variants()[self.base].layers(world)
        yield self.values
        yield self.worlds.get(world or "", {})


@dataclass(frozen=True, kw_only=True)
class World:
    purpose: str
    unnamed: str | None
    values: Values
    variants: dict[str, Values]
    maps: dict[str, Values]

    @property
    def default_variant(self) -> str:
        """The one that names leave out."""
        return next(iter(self.variants))

    @property
    def needs_map(self) -> bool:
        """Whether it is no world without one."""
        return "{map}" in self.values["environment"]["id"]

    def layers(self, variant: str, map_name: str | None) -> Iterator[Values]:
        """What it says for a variant and a map (None: itself)."""
        if map_name is None:
            yield from (self.values, self.variants[variant])
        else:
            environment = self.values["environment"]
            named = environment | {"id": environment["id"].format(map=map_name)}
            yield from (self.values | {"environment": named}, self.variants[variant], self.maps[map_name])


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    purpose: str
    base: str | None
    keeps: Sequence[str] | None
    """Variants; None: all that a world has."""
    without: Sequence[str]
    """Worlds."""
    values: Values
    variants: dict[str, Values]
    worlds: dict[str, Values]

    def has(self, world: str, variant: str) -> bool:
        """Whether there are presets of it for these, and of what it lies over."""
        beneath = self.base is None or algorithms()[self.base].has(world, variant)
        return beneath and world not in self.without and (self.keeps is None or variant in self.keeps)

    def layers(self, world: str, variant: str, map_name: str | None) -> Iterator[Values]:
        """What it says for these."""
        if self.base is not None:
            yield from algorithms()[self.base].layers(world, variant, map_name)
        here = dict(self.worlds.get(world, {}))
        of_variants, maps = here.pop("variants", {}), here.pop("maps", {})
        on_map = dict(maps.get(map_name, {}))
        of_its_variants = on_map.pop("variants", {})
        yield from (self.values, self.variants.get(variant, {}), here, of_variants.get(variant, {}))
        yield from (on_map, of_its_variants.get(variant, {}))


@cache
def variants() -> dict[str, Variant]:
    """All, by name."""
    return {
        path.stem: Variant(
            purpose=purpose, base=content.pop("base", None), worlds=content.pop("worlds", {}), values=content
        )
        for path, purpose, content in _files("variants")
    }


@cache
def worlds() -> dict[str, World]:
    """All, by name."""
    return {
        path.stem: World(
            purpose=purpose,
            unnamed=content.pop("unnamed", None),
            variants=content.pop("variants"),
            maps=content.pop("maps", {}),
            values=content,
        )
        for path, purpose, content in _files("worlds")
    }


@cache
def algorithms() -> dict[str, Algorithm]:
    """All, by name."""
    return {
        path.stem: Algorithm(
            purpose=purpose,
            base=content.pop("base", None),
            keeps=content.pop("keeps", None),
            without=content.pop("without", ()),
            variants=content.pop("variants", {}),
            worlds=content.pop("worlds", {}),
            values=content,
        )
        for path, purpose, content in _files("algorithms")
    }


@cache
def single_presets() -> dict[str, tuple[str, Path]]:
    """Purposes and files of those that are of no axis, and built like a file of one's own."""
    return {path.stem: (purpose, path) for path, purpose, _ in _files("single")}


def _files(axis: str) -> Iterator[tuple[Path, str, Values]]:
    for path in sorted((FOLDER / axis).glob("*.toml")):
        comment = takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
        yield path, " ".join(line.removeprefix("#").strip() for line in comment), read_toml(path)
