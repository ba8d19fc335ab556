"""What predators that hear nobody have reached: the reference policy `silent`, over many episodes.

Of each world as its name stands for it, by `heliograph evaluate --reference silent --environment NAME --episodes 10000
--seed 1` (1000 for the largest).  For `heliograph.environments.prey`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIRST = {"mode": "cooperative"}
MEASURED: tuple[tuple[dict[str, Any], float], ...] = (
    (_FIRST | {"agents": 3, "size": 5, "length": 20, "vision": 0}, 0.584),
    (_FIRST | {"agents": 5, "size": 10, "length": 40, "vision": 1}, 4.271),
    (_FIRST | {"agents": 10, "size": 20, "length": 80, "vision": 1}, 2.997),
)
"""Parameters, who hears whom left out, and the mean return."""


def best_found(parameters: Mapping[str, Any]) -> float | None:
    """The return for these parameters; None where nothing was measured."""
    for of_world, found in MEASURED:
        if all(parameters[name] == value for name, value in of_world.items()):
            return found
    return None
