"""Names for the 205 numbers that a train sees, in their order; see `heliograph.environments.flatland.observation`.

An edge is named by the ways that lead to it: "way 2.1" is the first way on at the end of the second way.
For `heliograph.environments`; imports no simulator.
"""

from __future__ import annotations

_OWN = (
    *("row", "column", "number of its own", "deadlocked", "not malfunctioning", "cells to the target", "on a switch"),
    *("decision in the next cell", "not departed"),
)
_OF_AN_EDGE = (
    *("there before the target", "cells to the first train", "cells to the end", "cells to a switch of others"),
    *("detour to the target", "length and detour", "train ahead", "2 trains ahead", "oncoming train"),
    *(
        "2 oncoming trains",
        "oncoming train of higher index",
        "first goes ahead",
        "highest goes ahead",
        "deadlocked train",
    ),
)
_WAYS = [
    *(f"{first}" for first in (1, 2)),
    *(f"{first}.{second}" for first in (1, 2) for second in (1, 2)),
    *(f"{first}.{second}.{third}" for first in (1, 2) for second in (1, 2) for third in (1, 2)),
]
OBSERVATION_NAMES = (*_OWN, *(f"way {way}: {entry}" for way in _WAYS for entry in _OF_AN_EDGE))
