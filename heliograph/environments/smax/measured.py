"""What units that see little and hear nobody have reached: the reference policy `silent`, over many battles.

For `heliograph.environments.smax`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIGHT, RADIO = 6.0, 16.0
"""Map units of the worlds `smax-…-fog`."""
_RULES = {
    **{"sight_range": SIGHT, "step_limit": 100},
    **{"enemy_shoots": True, "walls_cause_death": True, "attack_mode": "closest"},
}
"""What it was measured by; nothing else that can be set changes what such a team reaches."""
MEASURED: dict[str, float] = {"3m": 0.492, "2s3z": 0.566, "5m_vs_6m": 0.0}
"""Share of battles won, by `heliograph evaluate --reference silent --environment smax-3m-fog --episodes
1000 --seed 1`, and so on."""


def best_found(parameters: Mapping[str, Any]) -> float | None:
    """The best score found for a team that cannot hear, by scenario; None where it was not looked for."""
    if any(parameters[name] != value for name, value in _RULES.items()):
        return None
    return MEASURED.get(parameters["scenario"])
