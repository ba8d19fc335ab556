"""SMAX as two compiled functions over all copies: `begin` starts battles in some of them, `advance` plays one step.

Axis legend: E copies, N allies, U units (allies first, then enemies), D observation size, A actions, S world state.
Imports jax; for `heliograph.environments.smax.environment`, which loads it with the first reset.

Everything runs on the CPU, whatever else jax finds.  jax itself still claims memory on a GPU that it was installed
for, as soon as it is imported; JAX_PLATFORMS=cpu in the process's environment keeps it away.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

State = tuple[Any, ...]
"""All copies as the simulator keeps them: the leaves of a pair (key of the battle, jaxmarl's state), each [E, ...].

Flat, because taking the simulator's classes apart in every call costs time.
"""
STOP = 4
"""The only action of a dead unit, after the four moves; the attacks follow it."""


class Moment(NamedTuple):
    """What the adapter needs to know after a step, computed in the same call."""

    observation: Any
    """float32 [E, N, D]; zeros for a dead unit."""
    legal: Any
    """bool [E, N, A]."""
    near: Any
    """bool [E, N, N]: i and j live, and j is within the radio range of i, or its sight range where it has no other."""
    alive: Any
    """bool [E, N]."""
    decided: Any
    """bool [E]: one side, or both, has no living unit."""
    won: Any
    """bool [E]: the enemies have none, the team has."""
    reward: Any
    """float32 [E], of the team; 0 after a reset."""
    world: Any
    """float32 [E, S]: health, position, cooldown and type of every living unit, then teams and types of all."""


@dataclass(frozen=True, kw_only=True)
class Units:
    """All units of one copy, for a picture."""

    position: npt.NDArray[np.float32]
    """float32 [U, 2], x and y in map units, y upwards."""
    health: npt.NDArray[np.float32]
    """float32 [U], share of the full health."""
    alive: npt.NDArray[np.bool_]
    """bool [U]."""
    radius: npt.NDArray[np.float32]
    """float32 [U], in map units."""
    letter: list[str]
    """Type of each, as the scenarios' names spell it."""
    target: npt.NDArray[np.int64]
    """int [U]: the unit that it attacked in the last step, -1 for none."""
    allies: int
    width: int
    height: int


class Battle:
    """The compiled functions of one scenario with one set of rules; every count of copies compiles once.

    A battle is a pure function of its seed and the actions: the seed's 63 bits are its random key, and each step folds
    its number into that key.
    """

    # Eight parameters: each is a rule of the game that is compiled in.
    def __init__(
        self,
        scenario: str,
        *,
        see_enemy_actions: bool,
        walls_cause_death: bool,
        enemy_shoots: bool,
        attack_mode: str,
        sight_range: float | None = None,
        radio_range: float | None = None,
    ) -> None:
        """Raises ImportError where jaxmarl is not complete."""
        with _unheard():
            from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario

        self._game = HeuristicEnemySMAX(
            scenario=map_name_to_scenario(scenario),
            see_enemy_actions=see_enemy_actions,
            walls_cause_death=walls_cause_death,
            enemy_shoots=enemy_shoots,
            attack_mode=attack_mode,
        )
        self._sight_range, self._radio_range = sight_range, radio_range
        self._cpu = jax.local_devices(backend="cpu")[0]
        one_key = jax.ShapeDtypeStruct((2,), np.uint32)
        self._leaves, self.tree = jax.tree.flatten(jax.eval_shape(self._start, one_key))
        self.begin = jax.jit(self._begin)
        self.advance = jax.jit(jax.vmap(self._advance))

    def nothing(self, count: int) -> State:
        """A state of `count` copies in which nothing has begun; of the very types that `begin` and `advance` return.

        The simulator's own first state differs from its later ones in type, which would compile `advance` twice.
        """
        return tuple(jax.device_put(np.zeros((count, *leaf.shape), leaf.dtype), self._cpu) for leaf in self._leaves)

    def positions(self, state: State) -> npt.NDArray[np.float32]:
        """float32 [E, N, 2], x and y of the allies in map units."""
        return np.asarray(jax.tree.unflatten(self.tree, state)[1].state.unit_positions)[:, : self._game.num_allies]

    def units(self, state: State, copy: int) -> Units:
        """What a picture of one copy shows."""
        game = self._game
        now = jax.tree.unflatten(self.tree, [np.asarray(leaf)[copy] for leaf in state])[1].state
        attack = now.prev_attack_actions - (STOP + 1)
        team = np.arange(attack.size) >= game.num_allies
        # Enemies count the allies from the last to the first.
        target = np.where(team, game.num_allies - 1 - attack, game.num_allies + attack)
        kind = now.unit_types
        return Units(
            position=now.unit_positions,
            health=now.unit_health / np.asarray(game.unit_type_health)[kind],
            alive=now.unit_alive,
            radius=np.asarray(game.unit_type_radiuses)[kind],
            letter=[game.unit_type_shorthands[index] for index in kind],
            target=np.where(attack >= 0, target, -1),
            allies=game.num_allies,
            width=game.map_width,
            height=game.map_height,
        )

    def _start(self, key: jax.Array) -> Any:
        _, game_state = self._game.reset(_step_key(key, 0))
        return key, game_state

    def _begin(self, keys: jax.Array, row: jax.Array, held: State) -> tuple[State, Moment]:
        """Begin battles of `keys` uint32 [R, 2]; `row` int32 [E] says which of them a copy gets, -1 for the held one.

        The moment holds the R new battles alone.
        """
        new = jax.vmap(self._start)(keys)
        moment = jax.vmap(self._first_moment)(new)

        def placed(begun: jax.Array, old: jax.Array) -> jax.Array:
            chosen = (row >= 0).reshape(-1, *(1,) * (old.ndim - 1))
            return jnp.where(chosen, begun[row], old)

        return tuple(map(placed, jax.tree.leaves(new), held)), moment

    def _advance(self, state: State, actions: jax.Array) -> tuple[State, Moment]:
        """One step under int32 `actions` [N]; what a dead unit is told has no effect."""
        key, before = jax.tree.unflatten(self.tree, state)
        heeded = jnp.where(before.state.unit_alive[: self._game.num_allies], actions, STOP)
        # step_env, not step: the last state of a battle must stay visible.
        observations, after, rewards, _, _ = self._game.step_env(
            _step_key(key, before.state.step + 1), before, dict(zip(self._game.agents, heeded, strict=True))
        )
        reward = rewards[self._game.agents[0]]  # the same for the whole team
        moment = self._moment(after, observations, observations["world_state"], reward)
        return tuple(jax.tree.leaves((key, after))), moment

    def _first_moment(self, state: Any) -> Moment:
        game_state = state[1]
        observations, world = self._game.get_obs(game_state), self._game.get_world_state(game_state)
        return self._moment(game_state, observations, world, jnp.float32(0.0))

    def _moment(self, state: Any, observations: Any, world: jax.Array, reward: jax.Array) -> Moment:
        game, allies = self._game, self._game.num_allies
        legal = game.get_avail_actions(state)
        position, alive = state.state.unit_positions[:allies], state.state.unit_alive[:allies]
        distance = jnp.linalg.norm(position[:, None] - position[None], axis=-1)  # [N, N]
        own_sight = game.unit_type_sight_ranges[state.state.unit_types[:allies]]
        sight = own_sight if self._sight_range is None else jnp.minimum(own_sight, self._sight_range)
        heard_within = sight if self._radio_range is None else jnp.full_like(sight, self._radio_range)
        allies_left, enemies_left = alive.any(), state.state.unit_alive[allies:].any()
        near = (distance < heard_within[:, None]) & alive[:, None] & alive[None]
        observed = jnp.stack([observations[agent] for agent in game.agents])
        may = jnp.stack([legal[agent] for agent in game.agents]).astype(bool)
        if self._sight_range is not None:
            observed = self._in_sight(observed, own_sight)
            enemies = state.state.unit_positions[allies:]
            apart = jnp.linalg.norm(position[:, None] - enemies[None], axis=-1)  # [N, enemies]
            may = may.at[:, STOP + 1 :].set(may[:, STOP + 1 :] & (apart < self._sight_range))
        return Moment(
            observation=observed,
            legal=may,
            near=near & ~jnp.eye(allies, dtype=bool),
            alive=alive,
            decided=~(allies_left & enemies_left),
            won=allies_left & ~enemies_left,
            reward=reward,
            world=world,
        )

    def _in_sight(self, observed: jax.Array, own_sight: jax.Array) -> jax.Array:
        """Observations [N, D] without the units that are too far away; places in them are shares of `own_sight` [N]."""
        width, others = len(self._game.unit_features), self._game.num_allies + self._game.num_enemies - 1
        units = observed[:, : others * width].reshape(-1, others, width)
        apart = jnp.linalg.norm(units[..., 1:3], axis=-1) * own_sight[:, None]
        seen = jnp.where((apart < self._sight_range)[..., None], units, 0.0)
        return jnp.concatenate([seen.reshape(len(observed), -1), observed[:, others * width :]], axis=1)


# Eight parameters: those of the Battle.
@lru_cache(maxsize=16)
def battle(
    scenario: str,
    *,
    see_enemy_actions: bool,
    walls_cause_death: bool,
    enemy_shoots: bool,
    attack_mode: str,
    sight_range: float | None = None,
    radio_range: float | None = None,
) -> Battle:
    """The Battle of these rules, shared by all environments of the process, so that it compiles once."""
    return Battle(
        scenario,
        see_enemy_actions=see_enemy_actions,
        walls_cause_death=walls_cause_death,
        enemy_shoots=enemy_shoots,
        attack_mode=attack_mode,
        sight_range=sight_range,
        radio_range=radio_range,
    )


def _step_key(key: jax.Array, number: Any) -> jax.Array:
    # The algorithm is named because jax lets users change the default, and with it the size of a key.
    return jax.random.fold_in(jax.random.wrap_key_data(key, impl="threefry2x32"), number)


@contextmanager
def _unheard() -> Iterator[None]:
    """Importing jaxmarl prints, and it points sys.stdout back to the process's own: undo both."""
    names = ("stdout", "stderr", "__stdout__", "__stderr__")
    kept = {name: getattr(sys, name) for name in names}
    for name in names:
        setattr(sys, name, io.StringIO())
    try:
        yield
    finally:
        for name, stream in kept.items():
            setattr(sys, name, stream)
