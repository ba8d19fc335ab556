"""Parameters of the SMAC and SMACv2 environments, and the arguments of the simulator that they stand for.

Names and defaults are those of the package `smacv2`.  For `heliograph.environments` only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from heliograph.environments.smac.maps import RACES, SMAC_MAPS
from heliograph.settings import Settings, Text

_OURS = frozenset({"map", "hears", "relaunch", "replay_dir", "save_replay_every", "race", "units", "enemies"})
"""Parameters that are no argument of the simulator's under the same name."""

OPERATIONAL = frozenset({"replay_dir", "save_replay_every"})
"""Parameters that change nothing in the world, so that they are no part of its identity."""


class BattleSettings(Settings):
    """What SMAC and SMACv2 have in common."""

    difficulty: Literal["1", "2", "3", "4", "5", "6", "7", "8", "9", "A"] = "7"
    """Of the built-in opponent, from very easy to one that cheats; papers use 7."""
    step_mul: Annotated[int, Field(ge=1, le=100)] = 8
    """Game steps per environment step."""
    obs_all_health: bool = True
    """Agents see the health of all units in sight."""
    obs_own_health: bool = True
    """Agents see their own health, if not all."""
    obs_last_action: bool = False
    """Agents see the last actions of allies in sight."""
    obs_pathing_grid: bool = False
    """Agents see where one can walk around them."""
    obs_terrain_height: bool = False
    """Agents see the height of the ground around them."""
    obs_timestep_number: bool = False
    """Agents see the share of the episode that has passed."""
    state_last_action: bool = True
    """The global state holds all last actions."""
    state_timestep_number: bool = False
    """The global state holds the share of the episode that has passed."""
    reward_sparse: bool = False
    """1 for a victory and -1 for a defeat, nothing else."""
    reward_only_positive: bool = True
    """No reward is subtracted for damage that the team takes."""
    reward_death_value: Annotated[float, Field(ge=0.0)] = 10.0
    """For each enemy that dies, before scaling."""
    reward_win: Annotated[float, Field(ge=0.0)] = 200.0
    """For a victory, before scaling."""
    reward_defeat: Annotated[float, Field(le=0.0)] = 0.0
    """For a defeat, before scaling."""
    reward_negative_scale: Annotated[float, Field(ge=0.0)] = 0.5
    """Weight of damage that the team takes, if it counts."""
    reward_scale: bool = True
    """Scale rewards to a largest return of `reward_scale_rate`."""
    reward_scale_rate: Annotated[float, Field(gt=0.0)] = 20.0
    """The largest return, where rewards are scaled."""
    hears: Literal["all", "sight"] = "all"
    """Who is heard: everyone, or the living allies in sight of a living unit."""
    relaunch: bool = False
    """Start the game anew for every episode, with its seed: slow, but otherwise no seed fixes what the game draws."""
    replay_dir: Annotated[str, Text.OF_THE_USER] = ""
    """Folder for replays, each of all episodes since its game was started; empty: that of the game."""
    save_replay_every: Annotated[int, Field(ge=0)] = 0
    """Save a replay after every so many finished episodes; 0: never."""

    def arguments(self) -> dict[str, Any]:
        """Arguments of the simulator, without its seed; a fresh object at each call, because the simulator edits it."""
        arguments = self.model_dump(exclude=set(_OURS))
        if self.replay_dir:
            arguments["replay_dir"] = str(Path(self.replay_dir).absolute())  # a relative one would be the game's own
        return {**arguments, "continuing_episode": True}  # only then does it say that an episode was cut by time


class SmacSettings(BattleSettings):
    """Parameters of the environments `smac-…`."""

    map: Annotated[str, Text.OF_A_LIST, Field(json_schema_extra={"enum": list(SMAC_MAPS)})] = "3m"
    """The battle."""

    @field_validator("map")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in SMAC_MAPS:
            raise ValueError(f"no such map; there are {', '.join(SMAC_MAPS)}")
        return name

    def arguments(self) -> dict[str, Any]:
        """See BattleSettings."""
        return {**super().arguments(), "map_name": self.map}


class Smacv2Settings(BattleSettings):
    """Parameters of the environments `smacv2-…`: unit types and places are drawn anew for each episode."""

    race: Literal["terran", "protoss", "zerg"] = "terran"
    """Of both teams."""
    units: Annotated[int, Field(ge=1, le=50)] = 5
    """Agents of the team."""
    enemies: Annotated[int, Field(ge=1, le=50)] = 5
    """Units of the opponent."""
    conic_fov: bool = False
    """Agents see in the direction only that they have turned to."""
    num_fov_actions: Annotated[int, Field(ge=2, le=64)] = 12
    """Directions to turn to, each an action, where sight is conic."""
    obs_own_pos: bool = True
    """Agents see their place on the map."""
    use_unit_ranges: bool = True
    """Units see and shoot as far as the game lets them, not all alike."""
    min_attack_range: Annotated[float, Field(ge=0.0)] = 2.0
    """The shortest range to shoot at, where units differ."""
    prob_obs_enemy: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Probability that an agent sees an enemy which another has seen first; below 1 is the extended partial
    observability of SMACv2."""

    def arguments(self) -> dict[str, Any]:
        """See BattleSettings."""
        race = RACES[self.race]
        team: dict[str, Any] = {
            "dist_type": "weighted_teams",
            "unit_types": list(race.units),
            "weights": list(race.weights),
            "exception_unit_types": list(race.never_alone),
            "observe": True,
        }
        places = {"dist_type": "surrounded_and_reflect", "p": 0.5, "map_x": 32, "map_y": 32}
        drawn = {"n_units": self.units, "n_enemies": self.enemies, "team_gen": team, "start_positions": places}
        return {**super().arguments(), "map_name": f"10gen_{self.race}", "capability_config": drawn}
