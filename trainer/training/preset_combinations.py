"""Presets that are combinations of world, algorithm and variant: which there are, and what lies over what in each.

From the bottom: the variant, what it says for the world, the world, what that says for the variant and for the map, the
algorithm, what it says for the variant, for the world, for that variant of that world, and for the map.  So every
algorithm departs from MAMBA in the same world and variant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from trainer.training.preset_axes import Values, algorithms, variants, worlds


@dataclass(frozen=True, kw_only=True)
class Combination:
    variant: str
    world: str | None = None
    """None: none in particular, so that a command names an environment."""
    map_name: str | None = None
    algorithm: str | None = None
    """None: that of the variant, in which case the world says nothing of its own either."""

    @property
    def name(self) -> str:
        """Without what is understood: the world's first variant, and the algorithm that it does not name."""
        if self.algorithm is None or self.world is None:
            return "-".join(part for part in (self.variant, self.world) if part is not None)
        world = worlds()[self.world]
        algorithm = None if self.algorithm == world.unnamed else self.algorithm
        variant = None if self.variant == world.default_variant else self.variant
        return "-".join(part for part in (algorithm, self.world, self.map_name, variant) if part is not None)

    def layers(self) -> Iterator[Values]:
        """From the bottom; each may name an algorithm, and leave settings out."""
        yield from variants()[self.variant].layers(self.world)
        if self.algorithm is not None and self.world is not None:
            yield from worlds()[self.world].layers(self.variant, self.map_name)
            yield from algorithms()[self.algorithm].layers(self.world, self.variant, self.map_name)


@cache
def combinations() -> dict[str, Combination]:
    """All, by name."""
    return {each.name: each for each in (*_of_variants(), *_of_algorithms())}


def _of_variants() -> Iterator[Combination]:
    for name, variant in variants().items():
        for world in (None, *variant.worlds):
            yield Combination(variant=name, world=world)


def _of_algorithms() -> Iterator[Combination]:
    for algorithm_name, algorithm in algorithms().items():
        for world_name, world in worlds().items():
            for variant in filter(lambda name: algorithm.has(world_name, name), world.variants):
                for map_name in (*([] if world.needs_map else [None]), *world.maps):
                    yield Combination(variant=variant, world=world_name, map_name=map_name, algorithm=algorithm_name)
