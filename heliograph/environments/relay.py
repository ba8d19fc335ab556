"""The relay task: walk to a target that only a teammate can see.

N agents stand on a G x G grid and may share cells.  Each sees its own cell and the target of the next agent of the
ring, so each must be told where to go by the agent before it.  There is no clock in the observation.

Axis legend: E copies, N agents, A = 5 actions (stay, north, south, west, east), G grid size; a cell is row * G + column.
For `heliograph.environments` only; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from heliograph.environments import picture
from heliograph.environments.cue_task import CueTask, CueTaskSettings, blind_bound, one_hot, ring, seen_targets
from heliograph.environments.vector import EnvironmentSpec

_MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])  # (row, column) of stay, north, south, west, east
_REWARD_PER_CELL = 0.5
_REWARD_ON_TARGET = 0.5


class RelaySettings(CueTaskSettings):
    """Parameters of the environment `relay`."""

    size: Annotated[int, Field(ge=2, le=64)] = 3
    """Cells along each side of the grid."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 6
    """Steps of every episode; 2 * (size - 1) + 1 suffice for a message and the longest way."""
    hears: Literal["all", "ring", "range"] = "all"
    """all: everyone; ring: only the agent that sees one's target; range: whoever is near now, see `hearing_radius`."""
    hearing_radius: Annotated[int, Field(ge=0, le=64)] = 1
    """With hears = range: even slots hear to this Chebyshev distance and odd slots one cell further, so that the graph
    is directed and changes as the agents move."""


class RelayEnvironment(CueTask):
    """`count` copies of relay.

    Reward of agent i: 0.5 x the Manhattan distance gained to its target, plus 0.5 if it stands there after the move.
    Outcome "won": all agents are on their targets at the last step.
    """

    def __init__(self, *, count: int, settings: RelaySettings | None = None) -> None:
        settings = RelaySettings() if settings is None else settings
        self._size = settings.size
        self._cue = settings.cue
        cells = settings.size**2
        # A team that cannot cross the grid in time wins less often than the formula says.
        reachable = settings.length >= 2 * (settings.size - 1)
        spec = EnvironmentSpec(
            id="relay",
            parameters=settings.model_dump(mode="json"),
            agents=settings.agents,
            observation_size=2 * cells,
            actions=len(_MOVES),
            episode_limit=settings.length,
            complete_graph=settings.hears == "all",
            outcome="won",
            blind_bound=blind_bound(settings, targets=cells) if reachable else None,
            has_action_mask=True,
        )
        super().__init__(count=count, spec=spec, settings=settings)
        agents = settings.agents
        self._cells = np.zeros((count, agents), dtype=np.int64)
        self._targets = np.zeros((count, agents), dtype=np.int64)
        # Agent i - 1 sees the target of agent i.
        fixed = ring(agents, offset=-1) if settings.hears == "ring" else np.ones((agents, agents), dtype=bool)
        self._fixed_hears = None if settings.hears == "range" else fixed
        self._radius = settings.hearing_radius + np.arange(agents) % 2  # [N]
        rows, columns = np.divmod(np.arange(cells), settings.size)
        reached = np.stack([rows, columns], axis=-1)[:, None] + _MOVES  # [cells, A, 2]
        self._legal = ((reached >= 0) & (reached < settings.size)).all(axis=-1)  # [cells, A]
        self._reached = reached[..., 0] * settings.size + reached[..., 1]  # [cells, A], meaningless where illegal

    def _draw(self, copy: int, generator: np.random.Generator) -> None:
        cells = self._size**2
        self._cells[copy] = generator.integers(cells, size=self.spec.agents)
        self._targets[copy] = generator.integers(cells, size=self.spec.agents)

    def _apply(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        before = self._distance()
        self._cells = self._reached[self._cells, actions]
        after = self._distance()
        on_target = after == 0
        return _REWARD_PER_CELL * (before - after) + _REWARD_ON_TARGET * on_target, on_target

    def _distance(self) -> np.ndarray:
        cell_row, cell_column = np.divmod(self._cells, self._size)
        target_row, target_column = np.divmod(self._targets, self._size)
        return np.abs(cell_row - target_row) + np.abs(cell_column - target_column)  # [E, N]

    def _observe(self) -> np.ndarray:
        choices = self._size**2
        cue = seen_targets(self._targets, cue=self._cue, choices=choices, offset=1)
        return np.concatenate([one_hot(self._cells, choices), cue], axis=-1)  # [E, N, 2 * G * G]

    def _action_mask(self) -> np.ndarray:
        return self._legal[self._cells]

    def _hears(self) -> np.ndarray:
        agents = self.spec.agents
        if self._fixed_hears is not None:
            return np.broadcast_to(self._fixed_hears, (self.count, agents, agents))
        row, column = np.divmod(self._cells, self._size)
        apart = np.maximum(
            np.abs(row[:, :, None] - row[:, None, :]), np.abs(column[:, :, None] - column[:, None, :])
        )  # [E, N, N]
        return apart <= self._radius[:, None]

    def state(self) -> np.ndarray:
        """All cells and all targets, one-hot, float32 [E, 2 * N * G * G]."""
        choices = self._size**2
        both = np.concatenate([one_hot(self._cells, choices), one_hot(self._targets, choices)], axis=1)
        return both.reshape(self.count, -1)

    def render(self, copy: int = 0) -> np.ndarray:
        """Grid with targets (frames), agents (discs in the same colours) and a line to each agent from whom it hears.

        The half of a line in an agent's colour lies on the side of that agent, who hears the other end.
        """
        hears = self._hears()[copy] & ~np.eye(self.spec.agents, dtype=bool)
        return picture.grid(self._size, cells=self._cells[copy], targets=self._targets[copy], hears=hears)
