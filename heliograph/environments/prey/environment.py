"""Predator-Prey by the rules of IC3Net (Singh et al., 2019, arXiv 1812.09755) and of its public environment.

N predators and a prey that does not move begin in cells of their own of a G x G grid.  A predator moves up, right, down
or left, or stays; a move over the border is none, and whoever has reached the prey stays there.  Each step costs a
predator 0.05 until it is there; what it earns there depends on the mode: 0.05 times as many as are there (cooperative),
0.05 shared among them (competitive), nothing (mixed).  An episode has a fixed length, but a mixed one ends when all are
there.  The outcome is the return.

A predator sees its own cell and, within its vision, the prey and how many predators are in each cell, itself included.
IC3Net's observation has the same facts: every cell in sight as one-hot.

Axis legend: E copies, N predators, D observation, A = 5 actions, S = 2 v + 1 cells in sight along each axis.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from heliograph.environments.cue_task import one_hot
from heliograph.environments.drawing import Canvas
from heliograph.environments.drawn_task import Advance, DrawnTask, chebyshev, everyone_but_oneself
from heliograph.environments.prey.measured import best_found
from heliograph.environments.vector import EnvironmentSpec
from heliograph.settings import Settings

MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1], [0, 0]])
"""Up, right, down, left, stay as (row, column)."""
STAY = 4
STEP_REWARD, PREY_REWARD = -0.05, 0.05


class PreySettings(Settings):
    """Parameters of the environments `predator-prey-…`."""

    agents: Annotated[int, Field(ge=1, le=64)] = 3
    """Predators."""
    size: Annotated[int, Field(ge=2, le=40)] = 5
    """Side G of the grid."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Steps of an episode."""
    vision: Annotated[int, Field(ge=0, le=8)] = 0
    """Cells around its own that a predator sees (Chebyshev); 0: its own cell alone."""
    mode: Literal["cooperative", "competitive", "mixed"] = "cooperative"
    """What a predator earns at the prey: the more predators are there the more, the less, or nothing, and then the
    episode ends with the last arrival."""
    hears: Literal["all", "range"] = "all"
    """Whom a predator hears: everyone, or those within `range`."""
    range: Annotated[int, Field(ge=0, le=40)] = 3
    """For `hears = "range"`: as far as this many cells (Chebyshev)."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.agents + 1 > self.size**2:
            raise ValueError(
                f"{self.agents} predators and a prey do not each have a cell of a grid of {self.size} x {self.size}: "
                "make it larger, or ask for fewer agents"
            )
        return self


class PreyEnvironment(DrawnTask):
    """Vectorised over copies; every random number of an episode comes from its seed alone."""

    def __init__(self, settings: PreySettings, *, id: str, count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        self.settings = settings
        agents, cells, sight = settings.agents, settings.size**2, (2 * settings.vision + 1) ** 2
        bound = best_found(settings.model_dump())
        spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=agents,
            observation_size=cells + 2 * sight,
            actions=len(MOVES),
            episode_limit=settings.length,
            complete_graph=settings.hears == "all",
            outcome="return",
            blind_bound=bound,
            blind_bound_measured=bound is not None,
            idle_action=STAY,
            state_size=(agents + 1) * cells,
            renders=True,
            has_distances=True,
            observation_names=_observation_names(settings),
            state_names=tuple(
                f"{who} {name}"
                for who in (*(f"agent {slot}" for slot in range(agents)), "prey")
                for name in _cell_names(settings.size)
            ),
        )
        super().__init__(count=count, spec=spec)
        self._place = np.zeros((count, agents, 2), dtype=np.int64)
        self._prey = np.zeros((count, 2), dtype=np.int64)
        self._return = np.zeros(count)

    def _begin(self, copy: int, random: np.random.Generator) -> None:
        size = self.settings.size
        cells = random.choice(size**2, size=self.spec.agents + 1, replace=False)
        places = np.stack(np.divmod(cells, size), axis=-1)
        self._place[copy], self._prey[copy] = places[:-1], places[-1]

    def _advance(self, actions: npt.NDArray[np.integer[Any]]) -> Advance:
        free = ~self._arrived()
        moved = np.clip(self._place + MOVES[actions], 0, self.settings.size - 1)
        self._place = np.where(free[..., None], moved, self._place)
        there = self._arrived()
        crowd = there.sum(1, keepdims=True)
        earned = {
            "cooperative": PREY_REWARD * crowd,
            "competitive": PREY_REWARD / np.maximum(crowd, 1),
            "mixed": np.zeros(crowd.shape),
        }[self.settings.mode]
        reward = np.where(there, earned, STEP_REWARD)
        self._return = np.where(self.step_number == 0, 0.0, self._return) + reward.mean(1)
        decided = there.all(1) & (self.settings.mode == "mixed")
        return Advance(reward=reward, outcome=self._return, decided=decided)

    def _arrived(self) -> npt.NDArray[np.bool_]:
        there: npt.NDArray[np.bool_] = (self._place == self._prey[:, None]).all(-1)  # [E, N]
        return there

    def _observe(self) -> npt.NDArray[np.float32]:
        size, vision = self.settings.size, self.settings.vision
        offsets = np.arange(-vision, vision + 1)
        around = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 2)
        seen = self._place[:, :, None] + around  # [E, N, S * S, 2]
        prey = (seen == self._prey[:, None, None]).all(-1)
        predators = (seen[:, :, :, None] == self._place[:, None, None]).all(-1).sum(-1)
        own = one_hot(self._place @ (size, 1), size**2)
        observation: npt.NDArray[np.float32] = np.concatenate([own, prey, predators], axis=-1).astype(np.float32)
        return observation

    def _hears(self) -> npt.NDArray[np.bool_]:
        graph = everyone_but_oneself(self.count, self.spec.agents)
        if self.settings.hears == "range":
            graph &= chebyshev(self._place) <= self.settings.range
        return graph

    def distances(self) -> npt.NDArray[np.float32]:
        """In cells, Chebyshev, as hearing ranges are."""
        return chebyshev(self._place).astype(np.float32)

    def state(self) -> npt.NDArray[np.float32]:
        """The cells of all predators and of the prey, one-hot: float32 [E, (N + 1) G^2]."""
        size = self.settings.size
        places = np.concatenate([self._place, self._prey[:, None]], axis=1)
        return one_hot(places @ (size, 1), size**2).reshape(self.count, -1)

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """Predators as discs on the grid, the prey's cell in grey."""
        canvas = Canvas.grid(self.settings.size)
        canvas.fill(self._prey[copy])
        for slot in range(self.spec.agents):
            canvas.disc(self._place[copy, slot], slot, self.spec.agents)
        return canvas.pixels


def _cell_names(size: int) -> list[str]:
    return [f"cell = ({row}, {column})" for row in range(size) for column in range(size)]


def _observation_names(settings: PreySettings) -> tuple[str, ...]:
    around = range(-settings.vision, settings.vision + 1)
    places = [f"at ({row:+d}, {column:+d})" if row or column else "here" for row in around for column in around]
    own = [f"own {name}" for name in _cell_names(settings.size)]
    return (*own, *(f"prey {place}" for place in places), *(f"predators {place}" for place in places))
