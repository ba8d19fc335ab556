"""Rails between cities, and trains that run from one to another: flatland's own generators.

For `heliograph.environments.flatland.simulator`; imports flatland.
"""

from __future__ import annotations

from typing import Any

from flatland.envs.line_generators import sparse_line_generator
from flatland.envs.rail_generators import sparse_rail_generator

from heliograph.environments.flatland.settings import FlatlandSettings, step_limit


class Cities:
    """Lays rails and places trains, as the simulator asks for both."""

    def __init__(self, settings: FlatlandSettings) -> None:
        self._settings = settings
        self.rails = sparse_rail_generator(
            max_num_cities=settings.cities,
            grid_mode=False,
            max_rails_between_cities=settings.rails_between_cities,
            max_rail_pairs_in_city=settings.rail_pairs_in_city,
        )
        self.line = sparse_line_generator({1.0: 1.0})

    def step_limit(self, hints: dict[str, Any]) -> int:
        """Steps of an episode on rails with these hints of their generator."""
        return step_limit(self._settings, cities=len(hints["city_positions"]))
