"""What a campaign says of runs that there are not: a world beside those of a variant, a method that none trains."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from analysis.campaign.settings import CampaignSettings


class Place(NamedTuple):
    """Of a cell of the grid."""

    world: str
    method: str
    variant: str | None


def without_effect(campaign: CampaignSettings, cells: Collection[Place]) -> list[str]:
    """The dotted names of what changes none of `cells`, those of the campaign."""
    return [where for where, changed in _entries(campaign, cells) if not changed]


def _entries(campaign: CampaignSettings, cells: Collection[Place]) -> Iterator[tuple[str, bool]]:
    """What is said of some runs alone, and whether there is one of them."""
    pairs = {(cell.world, cell.method) for cell in cells}
    for world, in_world in campaign.worlds.items():
        yield f"worlds.{world}", any(cell.world == world for cell in cells)
        for method in in_world.methods or ():
            yield f"worlds.{world}.methods: {method}", (world, method) in pairs
    for method, plan in campaign.methods.items():
        yield f"methods.{method}", any(cell.method == method for cell in cells)
        yield from ((f"methods.{method}.worlds: {world}", (world, method) in pairs) for world in plan.worlds or ())
        yield from ((f"methods.{method}.on.{world}", (world, method) in pairs) for world in plan.on)
        yield from ((f"methods.{method}.presets.{world}", (world, method) in pairs) for world in plan.presets)
    for variant, varied in campaign.variants.items():
        of_variant = [cell for cell in cells if cell.variant == variant]
        yield f"variants.{variant}", bool(of_variant)
        yield from _limits(f"variants.{variant}", of_variant, varied.worlds or (), varied.methods or ())
        here = {cell.world for cell in of_variant}
        yield from ((f"variants.{variant}.on.{world}", world in here) for world in varied.on)
    for sweep, swept in campaign.sweeps.items():
        of_sweep = [
            cell
            for cell in cells
            if (swept.worlds is None or cell.world in swept.worlds)
            and (swept.methods is None or cell.method in swept.methods)
        ]
        yield f"sweeps.{sweep}", bool(of_sweep)
        yield from _limits(f"sweeps.{sweep}", of_sweep, swept.worlds or (), swept.methods or ())


def _limits(
    name: str, cells: Collection[Place], worlds: Collection[str], methods: Collection[str]
) -> Iterator[tuple[str, bool]]:
    yield from ((f"{name}.worlds: {world}", any(cell.world == world for cell in cells)) for world in worlds)
    yield from ((f"{name}.methods: {method}", any(cell.method == method for cell in cells)) for method in methods)
