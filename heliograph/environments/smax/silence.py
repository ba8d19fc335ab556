"""Units that hear nobody, as a reference policy.  For `heliograph.environments.reference`."""

from __future__ import annotations

import numpy as np

from heliograph.environments.episodes import TeamPolicy
from heliograph.environments.smax.environment import MOVES_AND_STOP, SEEN_NUMBERS, SmaxEnvironment
from heliograph.environments.vector import AgentInputs, Transition

UP, RIGHT, DOWN, LEFT = range(4)


class Silent(TeamPolicy):
    """A unit attacks the nearest enemy that it may attack, walks to the nearest that it sees, and else to the right,
    where the enemy begins."""

    def __init__(self, environment: SmaxEnvironment, *, seed: int) -> None:
        """`seed` has no effect: nothing here is random."""
        self._environment = environment
        self._enemies = environment.spec.actions - MOVES_AND_STOP

    def begin(self, copy: int, *, episode: int) -> None:
        return

    def step(self, agent_inputs: AgentInputs) -> Transition:
        mask, observed = agent_inputs.action_mask, agent_inputs.observation
        others = self._environment.spec.agents - 1 + self._enemies
        units = observed[..., : others * SEEN_NUMBERS].reshape(*observed.shape[:2], others, SEEN_NUMBERS)
        enemies = units[:, :, -self._enemies :]  # [E, N, enemies, numbers]: the second and third say where it is
        seen = enemies.any(-1)
        apart = np.where(seen, np.linalg.norm(enemies[..., 1:3], axis=-1), np.inf)
        attacks = mask[..., MOVES_AND_STOP:]
        target = np.where(attacks, apart, np.inf).argmin(-1)
        right, up = np.moveaxis(
            np.take_along_axis(enemies, apart.argmin(-1)[..., None, None], axis=2)[..., 0, 1:3], -1, 0
        )
        sideways, upwards = np.where(right >= 0, RIGHT, LEFT), np.where(up >= 0, UP, DOWN)
        walk = np.where(seen.any(-1), np.where(np.abs(right) >= np.abs(up), sideways, upwards), RIGHT)
        chosen = np.where(attacks.any(-1), MOVES_AND_STOP + target, walk)
        legal = np.take_along_axis(mask, chosen[..., None], axis=-1)[..., 0]
        return self._environment.step(np.where(legal, chosen, self._environment.spec.idle_action))
