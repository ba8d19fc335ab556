"""Names for the entries of SMAX's observations and world state, in their order.

Units are seen from the one that observes: "ally 2" is the second of the others.  For `heliograph.environments`;
imports no simulator.
"""

from __future__ import annotations

_TYPES = ("marine", "marauder", "stalker", "zealot", "zergling", "hydralisk")
_KIND = tuple(f"type = {name}" for name in _TYPES)
_OWN = ("health", "x", "y", "cooldown", *_KIND)
_SEEN = ("health", "x", "y", "last move x", "last move y", "last target", "cooldown", *_KIND)


def observation_names(*, allies: int, enemies: int) -> tuple[str, ...]:
    """Of the other allies, of the enemies, then of the unit itself."""
    others = [
        *(f"ally {number}" for number in range(1, allies)),
        *(f"enemy {number}" for number in range(1, enemies + 1)),
    ]
    return (*(f"{unit} {entry}" for unit in others for entry in _SEEN), *(f"own {entry}" for entry in _OWN))


def state_names(*, allies: int, enemies: int) -> tuple[str, ...]:
    """Of every unit, then the teams of all, then their types as numbers."""
    units = [*(f"agent {slot}" for slot in range(allies)), *(f"enemy {number}" for number in range(1, enemies + 1))]
    return (
        *(f"{unit} {entry}" for unit in units for entry in _OWN),
        *(f"{unit} team" for unit in units),
        *(f"{unit} type number" for unit in units),
    )
