"""SMAC and SMACv2: StarCraft II battles, each copy in a worker process of its own.

The protocol code of StarCraft's Python packages loads only with protobuf's pure-Python implementation, a choice that
holds for a whole process and would slow ours.  And a game that breaks must take no other copy along.

Axis legend: E copies.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from heliograph.environments.smac.settings import BattleSettings
from heliograph.environments.workers.group import WorkerGroup
from heliograph.environments.workers.protocol import Blueprint
from heliograph.environments.workers.worker import WorkerEnvironment
from heliograph.errors import WorldError

_VARIABLES = {
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python",
    "SDL_VIDEODRIVER": "dummy",  # its pictures need no screen
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}


class SmacEnvironment(WorkerGroup):
    """`count` games in `count` processes; see `heliograph.environments.smac.game` for what they do."""

    def __init__(self, settings: BattleSettings, *, id: str, count: int) -> None:
        """Start the processes.  Raises WorldError for less than one copy, or if the simulator cannot be loaded."""
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        blueprint = Blueprint(
            environment=id, count=1, adapter="heliograph.environments.smac.game:SmacGame", settings=settings
        )
        super().__init__([WorkerEnvironment(blueprint, variables=_VARIABLES) for _ in range(count)])
