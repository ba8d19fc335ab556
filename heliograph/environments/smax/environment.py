"""SMAX: StarCraft-like battles of a team against a scripted one, on jaxmarl; all copies step in one compiled call.

Every unit of the team is an agent.  A battle is decided when one side has no unit left; it is won if that is the
enemy's alone.  The reward is the team's: the share of the enemies' health taken in a step, and 1 for winning.

Axis legend: E copies, N agents, D observation size, A actions, S world state.
For `heliograph.environments`; made by `heliograph.environments.registry`.  jax loads and compiles with the first reset.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from heliograph.environments.smax.measured import best_found
from heliograph.environments.smax.names import observation_names, state_names
from heliograph.environments.smax.scenarios import FARTHEST_SIGHT, SCENARIOS
from heliograph.environments.vector import (
    AgentInputs,
    EnvironmentSpec,
    Transition,
    VectorEnvironment,
    check_running,
    checked_actions,
    checked_seeds,
)
from heliograph.errors import MissingExtra, WorldError
from heliograph.extras import install
from heliograph.settings import Settings

if TYPE_CHECKING:
    from heliograph.environments.smax.battle import Battle, Moment

_OWN_NUMBERS, SEEN_NUMBERS, _WORLD_NUMBERS = 10, 13, 12
"""Of a unit: in its own observation, in another's, in the world state."""
MOVES_AND_STOP = 5
_INPUT_FIELDS = ("observation", "action_mask", "hears", "present")
_BEGIN_AT_ONCE = 4
"""Copies that one call begins: with random actions, about as many of 32 end in one step."""


class SmaxSettings(Settings):
    """Parameters of the environments `smax-…`."""

    scenario: Literal[tuple(SCENARIOS)]  # type: ignore[valid-type]  # as many as the data has
    """Who fights whom."""
    neighbours: Literal["all", "sight"] = "all"
    """Who is heard: everyone (as MAMBA has it on SMAC), or the living allies within my unit's sight range now."""
    sight_range: Annotated[float, Field(gt=0.0, le=FARTHEST_SIGHT)] | None = None
    """Map units within which a unit sees others and can attack them, where its type sees so far; otherwise 8 to 10 by
    its type, as in SMAX.  It limits the team alone: its enemies see as far as before."""
    radio_range: Annotated[float, Field(allow_inf_nan=True)] | None = None
    """Map units within which the living of the team hear one another, at least as many as they see; otherwise what
    `neighbours` says."""
    termination: Literal["team", "agent"] = "team"
    """Whether a dead unit stays to the end, seeing nothing and able only to stop (as in SMAC), or leaves the episode
    with its death."""
    step_limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Steps after which an undecided battle is truncated."""
    see_enemy_actions: bool = True
    """Observations show what the enemies in sight did last."""
    walls_cause_death: bool = True
    """A unit that touches the border of the map dies."""
    enemy_shoots: bool = True
    """False makes the enemies harmless: they only approach."""
    attack_mode: Literal["closest", "random"] = "closest"
    """Which unit in range an enemy picks; it keeps to it until it is dead or out of range."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        radio = self.radio_range
        if radio is None:
            return self
        if not math.isfinite(radio):  # no bundle can say so
            raise ValueError(f"radio_range {radio:g} is no distance: leave it out, and everyone receives from everyone")
        if radio < 0.0:
            raise ValueError(f"radio_range {radio:g} is below zero: give map units, at least as many as units see")
        sight = FARTHEST_SIGHT if self.sight_range is None else self.sight_range
        if radio < sight:
            raise ValueError(
                f"radio_range {radio:g} is less than the {sight:g} that units see: let messages reach as far at least"
            )
        if self.neighbours == "sight":
            raise ValueError(
                "radio_range and neighbours = 'sight' both say who receives from whom: leave one of them out"
            )
        return self


class SmaxEnvironment(VectorEnvironment):
    """Vectorised over copies; a battle is a pure function of its seed and the team's actions."""

    def __init__(self, settings: SmaxSettings, *, id: str, count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        scenario = SCENARIOS[settings.scenario]
        agents, units = scenario.allies, scenario.allies + scenario.enemies
        self.count, self.settings = count, settings
        bound = best_found(settings.model_dump())
        self._spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=agents,
            observation_size=_OWN_NUMBERS + SEEN_NUMBERS * (units - 1),
            actions=MOVES_AND_STOP + scenario.enemies,
            episode_limit=settings.step_limit,
            complete_graph=settings.neighbours == "all" and settings.radio_range is None,
            outcome="won",
            blind_bound=bound,
            blind_bound_measured=bound is not None,
            idle_action=MOVES_AND_STOP - 1,
            has_action_mask=True,
            state_size=_WORLD_NUMBERS * units,
            renders=True,
            has_distances=True,
            observation_names=observation_names(allies=agents, enemies=scenario.enemies),
            state_names=state_names(allies=agents, enemies=scenario.enemies),
        )
        self._battle: Battle | None = None
        self._units: Any = None  # the state of all copies, as the simulator keeps it
        self._step = np.zeros(count, dtype=np.int64)
        self._running = np.zeros(count, dtype=bool)
        self._everyone = np.repeat(~np.eye(agents, dtype=bool)[None], count, axis=0)
        self._agent_inputs = AgentInputs(
            observation=np.zeros((count, agents, self.spec.observation_size), dtype=np.float32),
            action_mask=np.ones((count, agents, self.spec.actions), dtype=bool),
            hears=self._everyone,
            present=np.ones((count, agents), dtype=bool),
        )
        self._world = np.zeros((count, self.spec.state_size), dtype=np.float32)

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment.  The first reset compiles, for seconds.  Raises MissingExtra if jaxmarl is broken."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        new = self._battle is None
        battle = self._loaded()
        agent_inputs = {name: getattr(self._agent_inputs, name).copy() for name in _INPUT_FIELDS}
        self._world = self._world.copy()
        width = min(self.count, _BEGIN_AT_ONCE)  # always the same, so that it compiles once
        for start in range(0, chosen.size, width):
            copies_now, seeds_now = chosen[start : start + width], given[start : start + width]
            keys, row = np.zeros((width, 2), dtype=np.uint32), np.full(self.count, -1, dtype=np.int32)
            keys[: seeds_now.size], row[copies_now] = _keys(seeds_now), np.arange(copies_now.size)
            self._units, moment = battle.begin(keys, row, self._units)
            shown = self._seen(moment)
            for name, values in agent_inputs.items():
                values[copies_now] = getattr(shown, name)[: copies_now.size]
            self._world[copies_now] = np.asarray(moment.world)[: copies_now.size]
        if new:  # compile the step as well, so that no later one takes seconds
            battle.advance(self._units, np.full((self.count, self.spec.agents), self.spec.idle_action, dtype=np.int32))
        self._step[chosen], self._running[chosen] = 0, True
        self._agent_inputs = AgentInputs(**agent_inputs)
        return self._agent_inputs

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._running)
        told = checked_actions(actions, mask=self._agent_inputs.action_mask)
        acted = self._agent_inputs.present
        self._units, moment = self._loaded().advance(self._units, told.astype(np.int32))
        self._agent_inputs, self._world = self._seen(moment), np.asarray(moment.world)
        self._step += 1
        decided = np.asarray(moment.decided)
        reward: npt.NDArray[np.float32] = np.asarray(moment.reward)
        truncated = ~decided & (self._step >= self.settings.step_limit)
        over = decided | truncated
        self._running = ~over
        return Transition(
            agent_inputs=self._agent_inputs,
            reward=reward[:, None] * acted,
            terminated=decided[:, None] | ~self._agent_inputs.present,  # none leaves but by its death
            truncated=truncated,
            over=over,
            outcome=np.where(over, np.asarray(moment.won), np.float32(np.nan)),
            lost=np.zeros(self.count, dtype=bool),
        )

    def state(self) -> npt.NDArray[np.float32]:
        """Health, position, cooldown and type of every living unit, then teams and types: float32 [E, S]."""
        return self._world.copy()

    def distances(self) -> npt.NDArray[np.float32]:
        """In map units, as the crow flies; of the dead from where they fell."""
        if self._battle is None:
            raise WorldError("units are nowhere before their first battle", remedy="Reset all copies first")
        position = self._battle.positions(self._units)
        apart: npt.NDArray[np.float32] = np.linalg.norm(position[:, :, None] - position[:, None], axis=-1)
        return apart

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """The map with all units, their health and whom they attack; see `smax.picture.draw`."""
        from heliograph.environments.smax.picture import draw

        if self._battle is None:
            raise WorldError(f"copy {copy} has no episode to draw", remedy="Reset it first")
        return draw(self._battle.units(self._units, copy))

    def _loaded(self) -> Battle:
        if self._battle is None:
            try:
                from heliograph.environments.smax.battle import battle

                self._battle = battle(
                    self.settings.scenario,
                    see_enemy_actions=self.settings.see_enemy_actions,
                    walls_cause_death=self.settings.walls_cause_death,
                    enemy_shoots=self.settings.enemy_shoots,
                    attack_mode=self.settings.attack_mode,
                    sight_range=self.settings.sight_range,
                    radio_range=self.settings.radio_range,
                )
            except ImportError as error:
                raise MissingExtra(
                    f"environment {self.spec.id!r} cannot load jaxmarl: {error}",
                    remedy=install("smax"),
                ) from error
            self._units = self._battle.nothing(self.count)
        return self._battle

    def _seen(self, moment: Moment) -> AgentInputs:
        alive, legal = np.array(moment.alive), np.array(moment.legal)  # copies, for the caller may write to them
        leave = self.settings.termination == "agent"
        return AgentInputs(
            observation=np.array(moment.observation),
            action_mask=legal | ~alive[..., None] if leave else legal,
            hears=self._everyone[: len(alive)].copy() if self.spec.complete_graph else np.array(moment.near),
            present=alive if leave else np.ones_like(alive),
        )


def _keys(seeds: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """uint32 [E, 2] of int64 seeds [E]: both halves of each, so that no two seeds share a key."""
    keys: npt.NDArray[np.uint32] = np.stack([seeds >> 32, seeds & 0xFFFFFFFF], axis=1).astype(np.uint32)
    return keys
