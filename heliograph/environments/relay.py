"""The relay task: every agent knows where another one must go, and nobody knows where to go itself.

N agents stand on a G x G grid.  Agent i sees its own cell and the target of agent i + 1 (mod N), never its own.
An episode has a fixed length and ends by its time limit; there is no clock in the observation.  Each step earns
0.5 x the distance gained and 0.5 more when standing on the target; the team has won if all stand on their targets at
the last step.  Cells may be shared.

Axis legend: E copies, N agents, D = 2 G^2 observation, A = 5 actions.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from heliograph.environments.cue_task import CueTask, CueTaskSettings, blind_bound, informed_by, one_hot, shown
from heliograph.environments.drawing import Canvas
from heliograph.environments.vector import EnvironmentSpec

MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])
"""Stay, up, down, left, right as (row, column)."""


class RelaySettings(CueTaskSettings):
    """Parameters of the environment `relay`."""

    size: Annotated[int, Field(ge=2, le=64)] = 3
    """Side G of the grid."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 6
    """Steps of every episode; 2 (G - 1) + 1 suffice for a message and the longest way."""
    hears: Literal["all", "ring", "range"] = "all"
    """Who is heard: everyone; the one agent that sees my target; or agents within my hearing range now."""
    range: Annotated[int, Field(ge=0, le=64)] = 1
    """For `hears = "range"`: even slots hear as far as this many cells (Chebyshev), odd slots one cell further, so
    hearing is directed, and it changes as the agents move."""


def neighbour_graph(settings: RelaySettings, position: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """bool [E, N, N] for positions [E, N, 2]: [e, i, j] says that i hears j; false on the diagonal."""
    copies, agents = position.shape[:2]
    slots = np.arange(agents)
    if settings.hears == "ring":
        graph = np.broadcast_to(informed_by(agents, offset=-1), (copies, agents, agents)).copy()
    elif settings.hears == "range":
        graph = _distances(position) <= (settings.range + slots % 2)[None, :, None]
    else:
        graph = np.ones((copies, agents, agents), dtype=bool)
    graph[:, slots, slots] = False
    return graph


def _distances(position: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Chebyshev."""
    cells: npt.NDArray[np.int64] = np.abs(position[:, :, None] - position[:, None]).max(-1)  # [E, N, 2] -> [E, N, N]
    return cells


def cell_names(what: str, size: int) -> list[str]:
    """A name for each entry of a one-hot place: "own cell = (0, 1)" for row 0, column 1."""
    return [f"{what} = ({row}, {column})" for row in range(size) for column in range(size)]


def _shown_target(settings: RelaySettings) -> str:
    return {"next": "next agent's target", "own": "own target", "none": "nothing"}[settings.cue]


class RelayEnvironment(CueTask):
    """Vectorised over copies; every random number of an episode comes from its seed alone."""

    def __init__(self, settings: RelaySettings, *, id: str = "relay", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        agents, cells = settings.agents, settings.size**2
        # A team that cannot cross the grid in time wins less often than the bound says.
        reachable = settings.length >= 2 * (settings.size - 1)
        spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=agents,
            observation_size=2 * cells,
            actions=len(MOVES),
            episode_limit=settings.length,
            complete_graph=settings.hears == "all",
            outcome="won",
            blind_bound=blind_bound(settings, choices=cells) if reachable else None,
            has_action_mask=True,
            state_size=2 * agents * cells,
            renders=True,
            has_distances=True,
            observation_names=tuple(
                name for what in ("own cell", _shown_target(settings)) for name in cell_names(what, settings.size)
            ),
            state_names=tuple(
                name
                for what in ("cell", "target")
                for slot in range(agents)
                for name in cell_names(f"agent {slot} {what}", settings.size)
            ),
        )
        super().__init__(settings, count=count, spec=spec)
        self.settings: RelaySettings = settings
        self._position = np.zeros((count, agents, 2), dtype=np.int64)
        self._target = np.zeros((count, agents, 2), dtype=np.int64)

    def _draw(self, copy: int, random: np.random.Generator) -> None:
        self._position[copy] = random.integers(self.settings.size, size=(self.spec.agents, 2))
        self._target[copy] = random.integers(self.settings.size, size=(self.spec.agents, 2))

    def _apply(
        self, actions: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.bool_]]:
        before = self._distance()
        self._position = self._position + MOVES[actions]
        after = self._distance()
        return 0.5 * (before - after) + 0.5 * (after == 0), after == 0

    def _distance(self) -> npt.NDArray[np.int64]:
        moves: npt.NDArray[np.int64] = np.abs(self._position - self._target).sum(-1)  # [E, N]
        return moves

    def _observe(self) -> npt.NDArray[np.float32]:
        own, targets = self._one_hot(self._position), self._one_hot(self._target)
        return np.concatenate([own, shown(targets, cue=self.settings.cue, offset=1)], axis=-1)

    def _action_mask(self) -> npt.NDArray[np.bool_]:
        reached = self._position[:, :, None] + MOVES  # [E, N, A, 2]
        legal: npt.NDArray[np.bool_] = ((reached >= 0) & (reached < self.settings.size)).all(-1)
        return legal

    def _hears(self) -> npt.NDArray[np.bool_]:
        return neighbour_graph(self.settings, self._position)

    def distances(self) -> npt.NDArray[np.float32]:
        """In cells, Chebyshev, as hearing ranges are."""
        return _distances(self._position).astype(np.float32)

    def _one_hot(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return one_hot(places @ (self.settings.size, 1), self.settings.size**2)  # [E, N, 2] -> [E, N, G * G]

    def state(self) -> npt.NDArray[np.float32]:
        """All cells, then all targets, one-hot: float32 [E, 2 N G^2]."""
        both = np.concatenate([self._one_hot(self._position), self._one_hot(self._target)], axis=1)
        return both.reshape(self.count, -1)

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """Agents as discs, their targets as rings of the same colour, an arrow from each heard agent to its hearer."""
        canvas = Canvas.grid(self.settings.size)
        for slot in range(self.settings.agents):
            canvas.ring(self._target[copy, slot], slot)
        for hearer, heard in np.argwhere(self._hears()[copy]):
            canvas.arrow(self._position[copy, heard], self._position[copy, hearer], heard)
        for slot in range(self.settings.agents):
            canvas.disc(self._position[copy, slot], slot, self.settings.agents)
        return canvas.pixels
