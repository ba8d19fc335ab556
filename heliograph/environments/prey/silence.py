"""Predators that hear nobody, as a reference policy: each walks a way that shows it new cells as fast as possible.

The way depends on where a predator begins and on nothing else; it is left when the prey comes into sight.
For `heliograph.environments.reference`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.prey.environment import MOVES, STAY, PreyEnvironment, PreySettings
from heliograph.environments.vector import AgentInputs, Transition

MOST_TRIES, WORK = 100, 400_000
"""Ways drawn from each cell: fewer on larger grids, where each takes longer; seconds in all."""
ROUNDS = 5


class Silent(TeamPolicy):
    """Acts on observations alone, and on the steps that it has counted."""

    def __init__(self, environment: PreyEnvironment, *, seed: int) -> None:
        """`seed` has no effect: the ways are drawn with one of their own."""
        self._environment, self._settings = environment, environment.settings
        self._ways = ways(environment.settings)
        self._begun = np.full(environment.count, True)
        self._steps = np.zeros(environment.count, dtype=np.int64)
        self._from = np.zeros((environment.count, environment.spec.agents), dtype=np.int64)

    def begin(self, copy: int, *, episode: int) -> None:
        self._begun[copy] = True

    def step(self, agent_inputs: AgentInputs) -> Transition:
        return self._environment.step(self.actions(agent_inputs))

    def actions(self, agent_inputs: AgentInputs) -> npt.NDArray[np.int64]:
        """int [E, N], for the next step; to be asked once for each."""
        size, sight = self._settings.size, 2 * self._settings.vision + 1
        observed = agent_inputs.observation
        own = observed[..., : size**2].argmax(-1)
        self._from = np.where(self._begun[:, None], own, self._from)
        self._steps = np.where(self._begun, 0, self._steps + 1)
        self._begun[:] = False
        prey = observed[..., size**2 : size**2 + sight**2]
        offset = np.stack(np.divmod(prey.argmax(-1), sight), axis=-1) - self._settings.vision
        return np.where(prey.any(-1), towards(offset), self._ways[self._from, self._steps[:, None]])


def towards(offset: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The move that brings one nearer to a place [..., 2] away, rows first; stay where it is none."""
    row, column = offset[..., 0], offset[..., 1]
    by_column = np.where(column > 0, 1, np.where(column < 0, 3, STAY))
    return np.where(row > 0, 2, np.where(row < 0, 0, by_column))


def ways(settings: PreySettings) -> npt.NDArray[np.int64]:
    """int [G^2, length], the moves from each cell.

    Several ways are drawn from each; taken is the one with which a team earns most whose others do as was best before:
    who looks where the others look at that time is at the prey when they are, and that pays.
    """
    cells, length = settings.size**2, settings.length
    tries = max(1, min(MOST_TRIES, WORK // cells**2))
    ground, random = _Ground(settings), np.random.default_rng(0)
    drawn = [[ground.way(start, random) for _ in range(tries)] for start in range(cells)]
    # bool [from, try, what, step]: a predator on this way has reached a prey there
    there = np.stack([[ground.reached(start, way) for way in ways] for start, ways in enumerate(drawn)])
    others = settings.agents - 1
    chosen = there.sum((2, 3)).argmax(1)
    for _ in range(ROUNDS):
        share = there[np.arange(cells), chosen].mean(0)  # [what, step], of the predators by where they began
        worth = (2.0 + 2.0 * others * share).astype(np.float32)
        chosen = np.array([[(way * worth).sum() for way in ways] for ways in there]).argmax(1)
    return np.array([drawn[start][chosen[start]] for start in range(cells)]).reshape(cells, length)


class _Ground:
    """A grid, and what is seen from where."""

    def __init__(self, settings: PreySettings) -> None:
        self._size, self._length = settings.size, settings.length
        self._places = np.stack(np.divmod(np.arange(self._size**2), self._size), axis=-1)
        apart = np.abs(self._places[:, None] - self._places)
        self._apart = apart.sum(-1)  # moves from cell to cell
        self._shows = (apart.max(-1) <= settings.vision).astype(np.float32)  # [from, what]
        self._beside = (self._apart == 1).astype(np.float32)

    def way(self, start: int, random: np.random.Generator) -> list[int]:
        """Moves from a cell to the nearest one that shows anything new, again and again."""
        hidden = 1.0 - self._shows[start]
        here, moves = start, list[int]()
        noise = random.random(self._size**2)
        while len(moves) < self._length and hidden.any():
            new = self._shows @ hidden
            # Near ones first; of these the ones that show most, and then those with least left beside them.
            worth = new - 4.0 * self._apart[here] - 0.5 * (self._beside @ hidden) + noise
            goal = int(np.where(new > 0, worth, -np.inf).argmax())
            while len(moves) < self._length and goal != here:
                move = int(towards(self._places[goal] - self._places[here]))
                here = int((self._places[here] + MOVES[move]) @ (self._size, 1))
                moves.append(move)
                hidden = hidden * (1.0 - self._shows[here])
        return moves + [STAY] * (self._length - len(moves))

    def reached(self, start: int, way: list[int]) -> npt.NDArray[np.bool_]:
        """bool [what, step]: whoever walks so is at a prey there after that step, from when it has seen it."""
        walked = np.cumsum(MOVES[way], axis=0) + self._places[start]
        path = np.concatenate([[start], walked @ (self._size, 1)])
        sees = self._shows[path] > 0  # [step, what]
        seen = np.where(sees.any(0), sees.argmax(0), self._length + 1)
        arrives = seen + self._apart[path[np.minimum(seen, self._length)], np.arange(self._size**2)]
        reached: npt.NDArray[np.bool_] = arrives[:, None] <= np.arange(1, self._length + 1)
        return reached
