"""Published cooperative games as data: the catalogue names them before anything is made.

Each has one best joint action, or two that must not be mixed, beside a safe one that looks better to an agent whose
partner still explores: what makes them hard is called relative overgeneralisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Game:
    """What two agents get who choose a row and a column."""

    summary: str
    table: tuple[tuple[float, ...], ...]
    """Payoff of both by row (agent 0's action) and column (agent 1's)."""
    mixed: tuple[tuple[int, int], ...] = ()
    """Entries that the parameter `penalty` replaces."""

    def payoff(self, *, penalty: float) -> npt.NDArray[np.float64]:
        """float64 [A, A]."""
        table = np.array(self.table)
        for entry in self.mixed:
            table[entry] = penalty
        return table


DEFAULT_PENALTY = -100.0

GAMES: dict[str, Game] = {
    # Claus and Boutilier, "The dynamics of reinforcement learning in cooperative multiagent systems", AAAI 1998.
    "climbing": Game(
        summary="the best of nine choices lies beside the worst", table=((11, -30, 0), (-30, 7, 6), (0, 0, 5))
    ),
    "penalty": Game(
        summary="two best choices, and a penalty for mixing them",
        table=((10, 0, DEFAULT_PENALTY), (0, 2, 0), (DEFAULT_PENALTY, 0, 10)),
        mixed=((0, 2), (2, 0)),
    ),
    # Son et al., "QTRAN: learning to factorize with transformation", ICML 2019, table 1.
    "qtran": Game(
        summary="a best choice that no sum of the agents' own values can show",
        table=((8, -12, -12), (-12, 0, 0), (-12, 0, 0)),
    ),
}
"""By name."""
