"""The presets in words: what each algorithm, world and variant is for, and what is combined.  Imports no framework."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trainer.training.preset_axes import algorithms, single_presets, variants, worlds
from trainer.training.preset_combinations import Combination, combinations

WIDTH = 110
NAMING = (
    "Presets are named ALGORITHM-WORLD-MAP-VARIANT, as mabl-smax-3m-paper; names of worlds without maps have no MAP, "
    "and what is in parentheses below is left out."
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Presets of one algorithm in one world, whose names are `name`, `name-MAP` or either with `-VARIANT`."""

    name: str
    maps: tuple[str | None, ...]
    """None: the world itself."""
    variants: tuple[str | None, ...]
    """None: the one that names leave out."""
    purpose: tuple[str, ...] = ()
    """What the axes do not say, as sentences."""

    @property
    def presets(self) -> list[str]:
        """Their names."""
        return ["-".join(filter(None, (self.name, each, variant))) for each in self.maps for variant in self.variants]

    @property
    def pattern(self) -> str:
        """All names as one: `mamba-smax-MAP[-paper|-code|-cpu]`."""
        maps, named = [each for each in self.maps if each is not None], list(filter(None, self.variants))
        if None in self.maps:
            pattern = self.name + (f"[{'|'.join(f'-{each}' for each in maps)}]" if maps else "")
        else:
            pattern = f"{self.name}-MAP"
        return pattern + (f"[{'|'.join(f'-{each}' for each in named)}]" if named else "")


def families() -> list[Family]:
    """All that come with the trainer, those of one world beside one another."""
    found: dict[tuple[str, str], list[Combination]] = {}
    alone = [_alone(name, purpose) for name, (purpose, _) in single_presets().items()]
    for name, each in combinations().items():
        if each.world is None or each.algorithm is None:
            alone.append(_alone(name, "The variant by itself, for any --environment ID."))
        else:
            found.setdefault((each.world, each.algorithm), []).append(each)
    return [_family(*key, found[key]) for key in sorted(found)] + sorted(alone, key=lambda family: family.name)


def _alone(name: str, purpose: str) -> Family:
    return Family(name=name, maps=(None,), variants=(None,), purpose=(purpose,))


def _family(world_name: str, algorithm: str, members: list[Combination]) -> Family:
    world = worlds()[world_name]
    return Family(
        name=world_name if algorithm == world.unnamed else f"{algorithm}-{world_name}",
        maps=tuple(dict.fromkeys(each.map_name for each in members)),
        variants=tuple(
            dict.fromkeys(None if each.variant == world.default_variant else each.variant for each in members)
        ),
    )


def in_words() -> str:
    """What there is along each axis, and which combinations."""
    return "\n\n".join(
        (
            textwrap.fill(NAMING, width=WIDTH),
            _section("ALGORITHM", {name: [each.purpose] for name, each in algorithms().items()}),
            _section("WORLD", {name: [each.purpose, *_parts(name)] for name, each in worlds().items()}),
            _section("VARIANT", {name: [each.purpose] for name, each in variants().items()}),
            _section("presets", {family.pattern: family.purpose for family in families()}),
        )
    )


def _parts(world_name: str) -> Iterable[str]:
    world = worlds()[world_name]
    if world.unnamed is not None:
        yield f"ALGORITHM: ({world.unnamed}), or another"
    if world.maps:
        yield f"MAP: {', '.join(world.maps)}"
    first, *others = world.variants
    yield f"VARIANT: {', '.join((f'({first})', *others))}"


def _section(title: str, entries: Mapping[str, Iterable[str]]) -> str:
    lines = [title]
    for name, paragraphs in entries.items():
        lines += [_indented(name, 4), *(_indented(text, 8) for text in paragraphs)]
    return "\n".join(lines)


def _indented(text: str, spaces: int) -> str:
    margin = " " * spaces
    return textwrap.fill(
        text,
        width=WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
