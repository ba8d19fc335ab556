"""What scripts win on SMAX's 3m: how far a policy comes with each thing that there is to learn.

    python benchmarks/smax_scripted.py [--episodes 512]

A script shoots what is in range, and otherwise walks towards the enemies.  Which enemy it shoots, and whether it waits
for the others before the first is in sight, are what scripts differ in.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import heliograph
from heliograph.environments.smax.names import observation_names
from heliograph.estimates import Estimate, wilson

ALLIES, ENEMIES, STOP = 2, 3, 4
NORTH, EAST, SOUTH, WEST = range(4)
NAMES = observation_names(allies=3, enemies=ENEMIES)
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Of other units, [E, N, units] each; those out of sight or dead have no health."""

    health: Numbers
    x: Numbers
    y: Numbers

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        return self.health > 0

    @property
    def distance(self) -> Numbers:
        return np.where(self.there, np.hypot(self.x, self.y), np.inf)


def seen(observation: npt.NDArray[np.float32], kind: str, count: int) -> Seen:
    def column(entry: str) -> Numbers:
        return np.stack([observation[..., NAMES.index(f"{kind} {unit} {entry}")] for unit in range(1, count + 1)], -1)

    return Seen(column("health"), column("x"), column("y"))


def towards(x: Numbers, y: Numbers) -> npt.NDArray[np.int64]:
    return np.where(np.abs(x) > np.abs(y), np.where(x > 0, EAST, WEST), np.where(y > 0, NORTH, SOUTH))


def script(prefer: Callable[[Seen], Numbers], *, gathers: bool) -> Callable[..., npt.NDArray[np.int64]]:
    """Shoots the enemy in range with the smallest `prefer` [E, N, enemies]."""

    def act(observation: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        enemies, allies = seen(observation, "enemy", ENEMIES), seen(observation, "ally", ALLIES)
        move = np.full(mask.shape[:-1], EAST)
        if gathers:
            middle_x, middle_y = ((each * allies.there).sum(-1) / (ALLIES + 1) for each in (allies.x, allies.y))
            apart = np.maximum(np.abs(middle_x), np.abs(middle_y)) > 0.1
            move = np.where(apart & ~enemies.there.any(-1), towards(middle_x, middle_y), move)
        nearest = enemies.distance.argmin(-1)[..., None]
        approach = towards(*(np.take_along_axis(each, nearest, -1)[..., 0] for each in (enemies.x, enemies.y)))
        move = np.where(enemies.there.any(-1), approach, move)
        worth = np.where(mask[..., STOP + 1 :], prefer(enemies), np.inf)
        action = np.where(np.isfinite(worth).any(-1), STOP + 1 + worth.argmin(-1), move)
        legal = np.take_along_axis(mask, action[..., None], -1)[..., 0]
        return np.where(legal, action, mask.argmax(-1))

    return act


SCRIPTS: dict[str, Callable[..., npt.NDArray[np.int64]]] = {
    "the first in range": script(lambda enemies: np.zeros_like(enemies.health), gathers=False),
    "the nearest": script(lambda enemies: enemies.distance, gathers=False),
    "the weakest": script(lambda enemies: enemies.health, gathers=False),
    "the weakest, after gathering": script(lambda enemies: enemies.health, gathers=True),
}


def won(act: Callable[..., npt.NDArray[np.int64]], *, episodes: int) -> Estimate:
    """Share of battles won, of the same ones for every script."""
    world = heliograph.make_environment("smax-3m", copies=episodes)
    now = world.reset(2**32 + np.arange(episodes, dtype=np.int64))
    outcome = np.full(episodes, np.nan)
    while np.isnan(outcome).any():
        step = world.step(act(now.observation, now.action_mask.astype(bool)))
        fresh = step.over & np.isnan(outcome)
        outcome[fresh] = step.outcome[fresh]
        now, over = step.agent_inputs, np.flatnonzero(step.over)
        if over.size:
            now = world.reset(over, over)  # whose battles are not counted
    world.close()
    return wilson(outcome.tolist())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=512)
    namespace = parser.parse_args()
    for name, act in SCRIPTS.items():
        share = won(act, episodes=namespace.episodes)
        print(f"{name}: {share.mean:.3f} [{share.low:.3f}, {share.high:.3f}]", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
