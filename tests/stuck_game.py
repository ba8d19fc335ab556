"""A PettingZoo environment that leaves its second agent no legal action from its third step on; `make` makes one."""

from __future__ import annotations

from typing import Any

import numpy as np
from waiting_game import WaitingGame


class StuckGame(WaitingGame):
    """See the module."""

    def reset(self, *args: Any, **kwargs: Any) -> Any:
        self._made = 0
        observations, infos = super().reset(*args, **kwargs)
        return observations, self._masked(infos)

    def step(self, actions: Any) -> Any:
        self._made += 1
        *others, infos = super().step(actions)
        return (*others, self._masked(infos))

    def _masked(self, infos: Any) -> Any:
        stuck = self._made >= 3
        return {
            name: info | {"action_mask": np.full(3, not (stuck and name == "right"), dtype=np.int8)}
            for name, info in infos.items()
        }


def make() -> StuckGame:
    return StuckGame(early_leavers=False, endless=True)
