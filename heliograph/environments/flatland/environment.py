"""Flatland: trains that share rails, break down, and must not block one another on their ways between cities.

The world of MAMBA's experiments on flatland-rl 4.3: no departure or arrival windows and the step limit of flatland 2,
205 numbers for each train (`heliograph.environments.flatland.observation`), three actions, and a shaped reward.
Where there is nothing to decide the first action is taken.  A train is done when it has arrived or is deadlocked, an
episode when all are, or at its step limit.  There is no global state.

Axis legend: E copies, N trains, D = 205, A = 3.  For `heliograph.environments`; imports flatland.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.flatland.families import blind_bound, has_branches, most_steps
from heliograph.environments.flatland.names import OBSERVATION_NAMES
from heliograph.environments.flatland.observation import OBSERVATION_SIZE
from heliograph.environments.flatland.settings import FlatlandSettings
from heliograph.environments.flatland.team import ACTIONS, NO_COMMAND, NOTHING, STOP, RailTeam
from heliograph.environments.vector import (
    AgentInputs,
    EnvironmentSpec,
    Transition,
    VectorEnvironment,
    check_running,
    checked_actions,
    checked_seeds,
)
from heliograph.errors import WorldError
from heliograph.seeds import short_seed

SECOND_WAY, STOP_ACTION = 1, 2


class FlatlandEnvironment(VectorEnvironment):
    """`count` simulators, one team each."""

    def __init__(self, settings: FlatlandSettings, *, id: str = "flatland", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.settings = settings
        self.count = count
        agents = settings.agents
        self._spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=agents,
            observation_size=OBSERVATION_SIZE,
            actions=ACTIONS,
            episode_limit=settings.step_limit or most_steps(settings),
            complete_graph=False,
            outcome="arrived",
            blind_bound=blind_bound(settings),
            idle_action=STOP_ACTION,
            has_action_mask=not settings.published,
            renders=True,
            has_distances=True,
            observation_names=OBSERVATION_NAMES,
        )
        self._branches = has_branches(settings)
        self._name = f"adapter of {id!r}"
        self.teams = [RailTeam(settings) for _ in range(count)]
        """The simulators, for whoever knows that this is Flatland."""
        self._observation = np.zeros((count, agents, OBSERVATION_SIZE), dtype=np.float32)
        self._mask = np.ones((count, agents, ACTIONS), dtype=bool)
        self._hears = np.zeros((count, agents, agents), dtype=bool)
        self._present = np.zeros((count, agents), dtype=bool)
        self._forced = np.zeros((count, agents), dtype=bool)
        self._running = np.zeros(count, dtype=bool)
        self._started: set[int] = set()
        self._maps: dict[int, Any] = {}

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment.  Also raises WorldError for a map that the simulator's generator cannot fill."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        for copy, seed in zip(chosen.tolist(), given.tolist(), strict=True):
            self.teams[copy].reset(short_seed(seed))
            self._started.add(copy)
            self._maps.pop(copy, None)
            self._running[copy] = True
            self._perceive(copy)
        return self._agent_inputs()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._running)
        chosen = np.where(self._forced, 0, checked_actions(actions, mask=self._mask))
        own = np.arange(self.spec.agents)
        native = np.stack([team.native_of()[own, chosen[copy]] for copy, team in enumerate(self.teams)])
        return self.step_native(np.where(native == NO_COMMAND, NOTHING, native))

    def step_native(self, actions: npt.NDArray[np.int64]) -> Transition:
        """`step` with actions [E, N] of the simulator; deadlocked trains stop whatever theirs are."""
        check_running(self._running)
        reward = np.zeros((self.count, self.spec.agents), dtype=np.float32)
        truncated = np.zeros(self.count, dtype=bool)
        outcome = np.full(self.count, np.nan, dtype=np.float32)
        for copy, team in enumerate(self.teams):
            acting = self._present[copy].copy()
            team.step_native(np.where(team.trains.deadlocked, STOP, actions[copy]))
            reward[copy] = np.where(acting, team.reward, 0.0)
            if not np.isfinite(reward[copy]).all():
                raise WorldError(f"{self._name}: field 'reward' is not finite: {reward[copy].tolist()}")
            self._perceive(copy)
            truncated[copy] = team.timed_out and self._present[copy].any()
            self._running[copy] = self._present[copy].any() and not truncated[copy]
            if not self._running[copy]:
                outcome[copy] = team.trains.arrived.mean()
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=reward,
            terminated=~self._present,
            truncated=truncated,
            over=~self._running,
            outcome=outcome,
            lost=np.zeros(self.count, dtype=bool),
        )

    def distances(self) -> npt.NDArray[np.float32]:
        """In cells of the map, as the crow flies; a train that has not departed is where it starts."""
        if len(self._started) < self.count:
            raise WorldError("trains are nowhere before their first episode", remedy="Reset all copies first")
        cells = np.stack([team.cells for team in self.teams])  # [E, N]
        place = np.stack(np.divmod(cells, self.settings.width), axis=-1)
        apart: npt.NDArray[np.float32] = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1).astype(np.float32)
        return apart

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """See `heliograph.environments.flatland.drawing`.  Raises WorldError before the first reset of the copy."""
        from heliograph.environments.flatland.drawing import empty_map, picture

        if copy not in self._started:
            raise WorldError(f"copy {copy} has nothing to draw", remedy="Reset it first")
        team = self.teams[copy]
        if copy not in self._maps:
            self._maps[copy] = empty_map(team.rails)
        return picture(team.rails, team.trains, self._maps[copy])

    def _perceive(self, copy: int) -> None:
        team = self.teams[copy]
        trains, sight = team.trains, team.sight()
        present = ~(trains.arrived | trains.deadlocked)
        if sight.observation.shape != self._observation.shape[1:]:
            raise WorldError(f"{self._name}: field 'observation' has shape {sight.observation.shape}")
        if not np.isfinite(sight.observation).all():
            train, entry = np.argwhere(~np.isfinite(sight.observation))[0].tolist()
            raise WorldError(f"{self._name}: field 'observation' of train {train} is not finite at {entry}")
        self._present[copy] = present
        self._observation[copy] = np.where(present[:, None], sight.observation, 0.0)
        self._forced[copy] = team.forced()
        if not self.settings.published:
            self._mask[copy, :, 1:] = ~self._forced[copy, :, None]
            self._mask[copy, :, SECOND_WAY] &= self._branches
        hears = team.within_reach() if self.settings.neighbours == "rail" else _neighbours_on_edges(sight.edge_train)
        self._hears[copy] = hears & present & present[:, None]
        np.fill_diagonal(self._hears[copy], False)

    def _agent_inputs(self) -> AgentInputs:
        return AgentInputs(
            observation=self._observation.copy(),
            action_mask=self._mask.copy(),
            hears=self._hears.copy(),
            present=self._present.copy(),
        )


def _neighbours_on_edges(edge_train: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """bool [N, N] of who is the first train on an edge [N, 14] of whom."""
    count = edge_train.shape[0]
    heard = np.zeros((count, count + 1), dtype=bool)
    heard[np.arange(count)[:, None], edge_train] = True  # -1 is the last column, which is cut off
    return heard[:, :count]
