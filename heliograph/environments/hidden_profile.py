"""The hidden profile: a number of which every agent holds one digit, and one agent must enter all of it.

N agents hold a digit each, one of K symbols.  After a delay the digits are asked for, one in each step, and agent 0,
the decider, must play the one that is asked; what the others do has no effect.  Everyone earns 1 for each right digit;
the episode is won if all are right.  A digit can come over several hops: in a ring agent i hears agent i + 1, so that
digit k is k hops away and is asked for when it can have arrived; within a range agents stand still where they can all
be reached.
The name is that of group decisions for which nobody knows enough alone (Stasser and Titus, 1985).

Axis legend: E copies, N agents, K symbols, D = 2 N + K observation, A = K actions.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from heliograph.environments.cue_task import informed_by, one_hot
from heliograph.environments.drawing import Canvas
from heliograph.environments.drawn_task import Advance, DrawnTask, chebyshev, everyone_but_oneself
from heliograph.environments.vector import EnvironmentSpec
from heliograph.settings import Settings


class HiddenProfileSettings(Settings):
    """Parameters of the environment `hidden-profile`."""

    agents: Annotated[int, Field(ge=2, le=30)] = 4
    """Agents, and digits of the number."""
    symbols: Annotated[int, Field(ge=2, le=64)] = 4
    """What a digit can be."""
    delay: Annotated[int, Field(ge=0, le=1_000)] = 1
    """Steps before the first digit, the decider's own, is asked for.  Without any, a digit that is k hops away must be
    passed on at once by all between."""
    hears: Literal["all", "ring", "range"] = "all"
    """Who is heard: everyone; the next agent, so that digits come over hops; or agents within `range`."""
    range: Annotated[int, Field(ge=1, le=64)] = 2
    """For `hears = "range"`: cells (Chebyshev)."""
    size: Annotated[int, Field(ge=2, le=64)] = 8
    """For `hears = "range"`: side of the grid.  Each agent stands within the range of one with a lower number, so that
    all can be reached, and digit k over at most k hops; who stands where is drawn anew for every episode."""


class HiddenProfileEnvironment(DrawnTask):
    """Vectorised over copies; every random number of an episode comes from its seed alone."""

    def __init__(self, settings: HiddenProfileSettings, *, id: str = "hidden-profile", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        agents, symbols = settings.agents, settings.symbols
        spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=agents,
            observation_size=2 * agents + symbols,
            actions=symbols,
            episode_limit=settings.delay + agents,
            complete_graph=settings.hears == "all",
            outcome="won",
            # The decider knows its own digit; each other one is right in one of K equally likely cases.
            blind_bound=float(symbols) ** -(agents - 1),
            has_action_mask=True,
            state_size=agents * symbols,
            renders=True,
            has_distances=settings.hears == "range",
            observation_names=(
                *(f"own number = {slot}" for slot in range(agents)),
                *(f"own digit = {symbol}" for symbol in range(symbols)),
                *(f"asked = {slot}" for slot in range(agents)),
            ),
            state_names=tuple(f"digit {slot} = {symbol}" for slot in range(agents) for symbol in range(symbols)),
        )
        super().__init__(count=count, spec=spec)
        self.settings = settings
        self._digits = np.zeros((count, agents), dtype=np.int64)
        self._place = np.zeros((count, agents, 2), dtype=np.int64)
        self._right = np.zeros(count, dtype=np.int64)  # digits so far
        self._entered = np.full((count, agents), -1, dtype=np.int64)  # -1: not yet

    def _begin(self, copy: int, random: np.random.Generator) -> None:
        self._digits[copy] = random.integers(self.settings.symbols, size=self.spec.agents)
        self._right[copy], self._entered[copy] = 0, -1
        if self.settings.hears == "range":
            self._place[copy] = _places(self.settings, random)

    def _advance(self, actions: npt.NDArray[np.integer[Any]]) -> Advance:
        copies = np.arange(self.count)
        asked = self.step_number - self.settings.delay
        slot = np.maximum(asked, 0)
        right = (asked >= 0) & (actions[:, 0] == self._digits[copies, slot])
        self._right = self._right + right
        self._entered[copies[asked >= 0], slot[asked >= 0]] = actions[asked >= 0, 0]
        return Advance(
            reward=np.repeat(right[:, None].astype(np.float32), self.spec.agents, axis=1),
            outcome=(self._right == self.spec.agents).astype(np.float32),
            decided=np.zeros(self.count, dtype=bool),
        )

    def _observe(self) -> npt.NDArray[np.float32]:
        agents = self.spec.agents
        asked = self.step_number - self.settings.delay
        # After the last step nothing is asked, as before the first one.
        asked = np.where((asked < 0) | (asked >= agents), agents, asked)
        shown = (
            np.broadcast_to(np.eye(agents, dtype=np.float32), (self.count, agents, agents)),
            one_hot(self._digits, self.settings.symbols),
            np.repeat(one_hot(asked, agents + 1)[:, None, :-1], agents, axis=1),
        )
        return np.concatenate(shown, axis=-1)

    def _action_mask(self) -> npt.NDArray[np.bool_]:
        mask = np.zeros((self.count, self.spec.agents, self.spec.actions), dtype=bool)
        mask[:, 0], mask[:, 1:, 0] = True, True  # whoever is not the decider has nothing to choose
        return mask

    def _hears(self) -> npt.NDArray[np.bool_]:
        agents = self.spec.agents
        if self.settings.hears == "ring":
            return np.repeat(informed_by(agents, offset=1)[None], self.count, axis=0)
        graph = everyone_but_oneself(self.count, agents)
        if self.settings.hears == "range":
            graph &= chebyshev(self._place) <= self.settings.range
        return graph

    def distances(self) -> npt.NDArray[np.float32] | None:
        """In cells, Chebyshev, where agents stand somewhere, that is for `hears = "range"`."""
        return chebyshev(self._place).astype(np.float32) if self.spec.has_distances else None

    def state(self) -> npt.NDArray[np.float32]:
        """All digits, one-hot: float32 [E, N K]."""
        return one_hot(self._digits, self.settings.symbols).reshape(self.count, -1)

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """A row per digit, a column per symbol: a ring on what it is, a disc on what the decider has entered."""
        canvas = Canvas.grid(self.spec.agents, self.settings.symbols)
        for slot in range(self.spec.agents):
            canvas.ring(np.array([slot, self._digits[copy, slot]]), slot)
            if self._entered[copy, slot] >= 0:
                canvas.disc(np.array([slot, self._entered[copy, slot]]), slot, 1)
        return canvas.pixels


def _places(settings: HiddenProfileSettings, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """int [N, 2], (row, column): each within the range of an agent before it; several may share a cell."""
    places = random.integers(settings.size, size=(settings.agents, 2))
    for slot in range(1, settings.agents):
        beside = places[random.integers(slot)]
        near = beside + random.integers(-settings.range, settings.range + 1, size=2)
        places[slot] = np.clip(near, 0, settings.size - 1)
    return places
