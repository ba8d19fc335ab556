"""A double of the package `smacv2` and of the game under it: its interface and its traps, a skirmish of its own.

Put the folder above this package on the import path.  The variable SMAC_DOUBLE may hold JSON with faults, each a list
of [launch, episode] or, with a step, [launch, episode, step], counted from 0 in a process (episodes from a launch on):
- "slow_units": not all units of an episode are there at once, and the simulator looks again;
- "no_units": the units of an episode do not appear; the battle raises, the wrapper tries again and returns None;
- "crash_in_reset": the game crashes while an episode begins, and is started again;
- "crash": the game crashes at a step, and is started again: the step returns (0, True, {});
- "raise": the simulator raises at a step what it does not catch itself;
- "no_game": true if the game is not installed; "idle_enemies": true if enemies neither walk nor shoot.
What the real simulator does wrong in silence is an assertion here: two games at once, waiting for ever after a crash,
the native protocol code.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

assert os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION") == "python", "Descriptors cannot be created directly"

MAPS = {  # allies, enemies, limit, shields, bits of the unit type
    "3m": (3, 3, 60, 0, 0),
    "2s3z": (5, 5, 120, 1, 2),
    "10gen_terran": (10, 10, 200, 0, 3),
    "10gen_protoss": (10, 10, 200, 1, 3),
    "10gen_zerg": (10, 10, 200, 0, 3),
}
_NAMES = """
    map_name step_mul move_amount difficulty game_version seed continuing_episode obs_all_health obs_own_health
    obs_last_action obs_pathing_grid obs_terrain_height obs_instead_of_state obs_timestep_number obs_own_pos
    obs_starcraft conic_fov num_fov_actions state_last_action state_timestep_number reward_sparse reward_only_positive
    reward_death_value reward_win reward_defeat reward_negative_scale reward_scale reward_scale_rate use_unit_ranges
    min_attack_range kill_unit_step_mul fully_observable capability_config replay_dir replay_prefix window_size_x
    window_size_y heuristic_ai heuristic_rest debug prob_obs_enemy action_mask
"""
ARGUMENTS = frozenset(_NAMES.split())
SIDE, SIGHT, REACH, HEALTH = 32.0, 9.0, 6.0, 45.0
MOVES = {2: (0, 2), 3: (0, -2), 4: (2, 0), 5: (-2, 0)}
FAULTS = json.loads(os.environ.get("SMAC_DOUBLE", "{}"))


class CannotResetException(Exception):
    pass


class Draw:
    """What the wrapper draws per episode; its generator is seeded by nobody."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.rng = np.random.default_rng()


class TeamDraw(Draw):
    def generate(self) -> dict[str, Any]:
        config = self.config
        team = [str(unit) for unit in self.rng.choice(config["unit_types"], config["n_units"], p=config["weights"])]
        random.shuffle(team)
        return {"team_gen": {"ally_team": team, "enemy_team": (team * 9)[: config["n_enemies"]], "id": 0}}


class PlaceDraw(Draw):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.inner = Draw(config)

    def generate(self) -> dict[str, Any]:
        # As in the original, one generator decides the kind of the start and another one, further in, the places.
        width = (SIDE / 2 - 1) * self.rng.uniform(0.5, 1.0)
        places = self.inner.rng.uniform((0, 0), (width, SIDE), size=(self.config["n_units"], 2))
        return {"ally_start_positions": {"item": places, "id": 0}}


class StarCraft2Env:
    launches = 0
    running = False

    def __init__(self, **arguments: Any) -> None:
        assert set(arguments) <= ARGUMENTS, set(arguments) - ARGUMENTS
        self.arguments = arguments
        config = arguments.get("capability_config", {})
        allies, enemies, self.episode_limit, self.shields, self.type_bits = MAPS[arguments.get("map_name", "8m")]
        self.n_agents, self.n_enemies = config.get("n_units", allies), config.get("n_enemies", enemies)
        self.n_actions = 6 + self.n_enemies
        self.max_reward = 10.0 * self.n_enemies + 200.0
        self.force_restarts = self.battles_game = self.battles_won = 0
        self._episodes = 0
        self._ally_health = self._enemy_health = np.zeros(0)
        self._stale = False

    def _launch(self) -> None:
        if FAULTS.get("no_game"):
            raise FileNotFoundError("/nowhere/StarCraftII/Versions")
        assert not StarCraft2Env.running, "a game is left running"
        StarCraft2Env.running = True
        StarCraft2Env.launches += 1
        self._begun = 0
        self._game_random = random.Random(self.arguments["seed"])

    def full_restart(self) -> None:
        StarCraft2Env.running = False
        self._launch()
        self.force_restarts += 1
        self._stale = True

    def _faulty(self, fault: str, *when: int) -> bool:
        return [StarCraft2Env.launches - 1, *when] in FAULTS.get(fault, [])

    def reset(self, episode_config: dict[str, Any] | None = None) -> tuple[list[np.ndarray], np.ndarray]:
        config = episode_config or {}
        if self._episodes == 0:
            self._launch()
        else:
            assert not self._stale, "waits for ever until the units of a crashed game die in the new one"
        self._episode, self._steps = self._begun, 0
        self._begun += 1
        if self._faulty("no_units", self._episode):
            raise CannotResetException("waited for units")
        if self._faulty("crash_in_reset", self._episode):
            self.full_restart()
            if not self._ally_health.size:
                self._create(config)
            self._ally_health = np.zeros(self.n_agents)
            return self.get_obs(), self.get_state()
        self._create(config)
        if self._episodes == 0:
            self.max_reward += self.n_enemies * HEALTH * (3 if self._faulty("slow_units", self._episode) else 1)
        return self.get_obs(), self.get_state()

    def _create(self, config: dict[str, Any]) -> None:
        heights = [self._game_random.uniform(10, 22) for _ in range(self.n_agents + self.n_enemies)]
        self._allies = np.array([(9.0, height) for height in heights[: self.n_agents]])
        if "ally_start_positions" in config:
            self._allies = np.array(config["ally_start_positions"]["item"])
        self._enemies = np.array([(21.0, height) for height in heights[self.n_agents :]])
        kinds = sorted(set(config.get("team_gen", {}).get("ally_team", ["marine"])))
        self._types = [kinds.index(unit) for unit in config.get("team_gen", {}).get("ally_team", [])]
        self._types += [0] * (self.n_agents - len(self._types))
        self._ally_health, self._enemy_health = np.full(self.n_agents, HEALTH), np.full(self.n_enemies, HEALTH)
        self._last_action = np.zeros((self.n_agents, self.n_actions))

    def step(self, actions: list[int]) -> tuple[float, bool, dict[str, Any]]:
        for agent, action in enumerate(actions):
            assert self.get_avail_agent_actions(agent)[action] == 1, f"Agent {agent} cannot perform action {action}"
        self._last_action = np.eye(self.n_actions)[actions]
        if self._faulty("raise", self._episode, self._steps):
            raise RuntimeError("websocket fell over")
        if self._faulty("crash", self._episode, self._steps):
            self.full_restart()
            return 0, True, {}
        self._steps += 1
        reward = self._fight(actions)
        dead_allies, dead_enemies = int((self._ally_health <= 0).sum()), int((self._enemy_health <= 0).sum())
        info: dict[str, Any] = {"battle_won": False, "dead_allies": dead_allies, "dead_enemies": dead_enemies}
        decided = dead_allies == self.n_agents or dead_enemies == self.n_enemies
        over = decided or self._steps >= self.episode_limit
        if decided and dead_allies < self.n_agents:
            info["battle_won"] = True
            reward += self.arguments["reward_win"]
            self.battles_won += 1
        elif over and not decided and self.arguments["continuing_episode"]:
            info["episode_limit"] = True
        if over:
            self._episodes += 1
            self.battles_game += 1
        return reward / (self.max_reward / self.arguments["reward_scale_rate"]), over, info

    def _fight(self, actions: list[int]) -> float:
        before = self._enemy_health.clip(0).sum() + 10.0 * (self._enemy_health > 0).sum()
        for agent, action in enumerate(actions):
            if action in MOVES:
                self._allies[agent] = (self._allies[agent] + MOVES[action]).clip(0, SIDE)
            elif action >= 6:
                self._enemy_health[action - 6] -= 9.0
        for enemy in np.flatnonzero((self._enemy_health > 0) & (not FAULTS.get("idle_enemies"))):
            gaps = self._allies - self._enemies[enemy]
            distances = np.where(self._ally_health > 0, np.hypot(*gaps.T), np.inf)
            target = int(distances.argmin())
            if distances[target] <= REACH:
                self._ally_health[target] -= self._game_random.choice((4.0, 8.0))
            elif np.isfinite(distances[target]):
                self._enemies[enemy] += 1.5 * gaps[target] / distances[target]
        after = self._enemy_health.clip(0).sum() + 10.0 * (self._enemy_health > 0).sum()
        return float(before - after)

    @property
    def enemies(self) -> dict[int, SimpleNamespace]:
        return {enemy: SimpleNamespace(health_max=HEALTH, shield_max=0.0) for enemy in range(self.n_enemies)}

    def get_avail_agent_actions(self, agent: int) -> list[int]:
        if self._ally_health[agent] <= 0:
            return [1] + [0] * (self.n_actions - 1)
        inside = [int(((self._allies[agent] + move) >= 0).all()) for move in MOVES.values()]
        near = np.hypot(*(self._enemies - self._allies[agent]).T) <= REACH
        return [0, 1, *inside, *(near & (self._enemy_health > 0)).astype(int).tolist()]

    def get_avail_actions(self) -> list[list[int]]:
        return [self.get_avail_agent_actions(agent) for agent in range(self.n_agents)]

    def get_obs(self) -> list[np.ndarray]:
        agents = list(range(self.n_agents))
        random.shuffle(agents)
        seen = {agent: self._observed(agent) for agent in agents}
        return [seen[agent] for agent in range(self.n_agents)]

    def _observed(self, agent: int) -> np.ndarray:
        place, extra = self._allies[agent], [0.0] * (self.shields + self.type_bits)
        row = list(self.get_avail_agent_actions(agent)[2:6])
        others = [other for other in range(self.n_agents) if other != agent]
        for places, healths, ids in (
            (self._enemies, self._enemy_health, range(self.n_enemies)),
            (self._allies, self._ally_health, others),
        ):
            for unit in ids:
                gap = places[unit] - place
                seen = healths[unit] > 0 and np.hypot(*gap) < SIGHT
                row += [1.0, np.hypot(*gap) / SIGHT, *(gap / SIGHT), healths[unit] / HEALTH] if seen else [0.0] * 5
                row += extra
        row += [self._ally_health[agent] / HEALTH, *extra[: self.shields]]
        if self.arguments.get("obs_own_pos"):
            row += (place / SIDE).tolist()
        row += [float(self._types[agent] == bit) for bit in range(self.type_bits)]
        observed = np.array(row, dtype=np.float32)
        return observed if self._ally_health[agent] > 0 else np.zeros_like(observed)

    def get_state(self) -> np.ndarray:
        def rows(places: np.ndarray, healths: np.ndarray, blanks: int) -> list[float]:
            blank = [0.0] * blanks
            living = [[health / HEALTH, *(place / SIDE), *blank] for place, health in zip(places, healths, strict=True)]
            return [value for row in living for value in (row if row[0] > 0 else [0.0] * len(row))]

        more = self.shields + self.type_bits
        state = rows(self._allies, self._ally_health, 1 + more) + rows(self._enemies, self._enemy_health, more)
        return np.array([*state, *self._last_action.ravel()], dtype=np.float32)

    def get_visibility_matrix(self) -> np.ndarray:
        living = self._ally_health > 0
        gaps = self._allies[:, None] - self._allies[None]
        near = (np.hypot(gaps[..., 0], gaps[..., 1]) < SIGHT) & living[:, None] & living[None]
        return np.concatenate([near, np.zeros((self.n_agents, self.n_enemies), dtype=bool)], axis=1)

    def get_env_info(self) -> dict[str, Any]:
        unit = 5 + self.shields + self.type_bits
        own = 1 + self.shields + self.type_bits + (2 if self.arguments.get("obs_own_pos") else 0)
        allies, enemies = self.n_agents * (unit - 1), self.n_enemies * (unit - 2)
        return {
            "state_shape": allies + enemies + self.n_agents * self.n_actions,
            "obs_shape": 4 + (self.n_enemies + self.n_agents - 1) * unit + own,
            "cap_shape": self.type_bits,
            "n_actions": self.n_actions,
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }

    def get_stats(self) -> dict[str, Any]:
        return {"win_rate": self.battles_won / self.battles_game}

    def save_replay(self) -> None:
        folder = Path(self.arguments["replay_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.arguments['replay_prefix']}_{self._begun}.SC2Replay").write_bytes(b"replay")

    def render(self, mode: str = "human") -> np.ndarray | None:
        return np.full((24, 32, 3), 7, dtype=np.uint8) if mode == "rgb_array" else None

    def seed(self) -> int | None:
        return self.arguments.get("seed")

    def close(self) -> None:
        StarCraft2Env.running = False


class StarCraftCapabilityEnvWrapper:
    def __init__(self, **arguments: Any) -> None:
        config = arguments["capability_config"]
        kinds = {"weighted_teams": TeamDraw, "surrounded_and_reflect": PlaceDraw}
        self.env_key_to_distribution_map = {}
        for key in [key for key in config if key not in ("n_units", "n_enemies")]:
            config[key] |= {"env_key": key, "n_units": config["n_units"], "n_enemies": config["n_enemies"]}
            self.env_key_to_distribution_map[key] = kinds[config[key]["dist_type"]](config[key])
        self.env = StarCraft2Env(**arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)

    def reset(self) -> Any:
        try:
            drawn: dict[str, Any] = {}
            for draw in self.env_key_to_distribution_map.values():
                drawn |= draw.generate()
            return self.env.reset(drawn)
        except CannotResetException:
            self.reset()
            return None
