"""The relay-signal task: everyone must play the symbol that only another agent sees.  The fast sibling of relay.

Each of N agents is shown one of K symbols, its cue, during a whole episode of three steps.  Agent i earns 1 at every
step at which it plays the cue of agent i + 1 (mod N); the team has won if all play right at the last step.

Axis legend: E copies, N agents, D = K observation, A = K actions.
For `heliograph.environments`; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from heliograph.environments.cue_task import CueTask, CueTaskSettings, blind_bound, informed_by, one_hot, shown
from heliograph.environments.drawing import Canvas
from heliograph.environments.vector import EnvironmentSpec


class RelaySignalSettings(CueTaskSettings):
    """Parameters of the environment `relay-signal`."""

    symbols: Annotated[int, Field(ge=2, le=1024)] = 4
    """Different symbols K, and actions to play them."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Steps of every episode; at the first one nobody has heard anything yet."""
    hears: Literal["all", "ring"] = "all"
    """Who is heard: everyone, or the one agent that sees what I must play."""


class RelaySignalEnvironment(CueTask):
    """Vectorised over copies; every random number of an episode comes from its seed alone.

    The target of an agent is the symbol that it must play.  With cue = next agent i sees the target of agent i - 1.
    """

    def __init__(self, settings: RelaySignalSettings, *, id: str = "relay-signal", count: int) -> None:
        """Make `count` copies.  Raises WorldError if that is less than one."""
        agents, symbols = settings.agents, settings.symbols
        spec = EnvironmentSpec(
            id=id,
            parameters=settings.model_dump(mode="json"),
            agents=agents,
            observation_size=symbols,
            actions=symbols,
            episode_limit=settings.length,
            complete_graph=settings.hears == "all",
            outcome="won",
            blind_bound=blind_bound(settings, choices=symbols),
            state_size=agents * symbols,
            renders=True,
            observation_names=tuple(f"cue = {symbol}" for symbol in range(symbols)),
            state_names=tuple(
                f"agent {slot} must play = {symbol}" for slot in range(agents) for symbol in range(symbols)
            ),
        )
        super().__init__(settings, count=count, spec=spec)
        self.settings: RelaySignalSettings = settings
        self._target = np.zeros((count, agents), dtype=np.int64)
        self._chosen: npt.NDArray[np.integer[Any]] = np.full((count, agents), -1, dtype=np.int64)  # -1: nothing yet
        graph = informed_by(agents, offset=1) if settings.hears == "ring" else ~np.eye(agents, dtype=bool)
        self._graph = np.broadcast_to(graph, (count, agents, agents))

    def _draw(self, copy: int, random: np.random.Generator) -> None:
        cues = random.integers(self.settings.symbols, size=self.spec.agents)
        self._target[copy] = np.roll(cues, -1)
        self._chosen[copy] = -1

    def _apply(
        self, actions: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.bool_]]:
        self._chosen = actions.copy()  # ours to overwrite at the next reset
        right = self._chosen == self._target
        return right.astype(np.float32), right

    def _observe(self) -> npt.NDArray[np.float32]:
        return shown(one_hot(self._target, self.settings.symbols), cue=self.settings.cue, offset=-1)

    def _action_mask(self) -> npt.NDArray[np.bool_]:
        return np.ones((self.count, self.spec.agents, self.settings.symbols), dtype=bool)

    def _hears(self) -> npt.NDArray[np.bool_]:
        return self._graph.copy()

    def state(self) -> npt.NDArray[np.float32]:
        """What every agent must play, one-hot: float32 [E, N K]."""
        return one_hot(self._target, self.settings.symbols).reshape(self.count, -1)

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """A row per agent, a column per symbol: a ring on the symbol to play, a disc on the one played last."""
        canvas = Canvas.grid(self.settings.agents, self.settings.symbols)
        for slot in range(self.settings.agents):
            canvas.ring(np.array([slot, self._target[copy, slot]]), slot)
            if self._chosen[copy, slot] >= 0:
                canvas.disc(np.array([slot, self._chosen[copy, slot]]), slot, 1)
        return canvas.pixels
