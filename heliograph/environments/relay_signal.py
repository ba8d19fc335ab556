"""The relay-signal task: name a symbol that only a teammate can see.  The smallest task that needs a message.

Every agent sees its own cue, one of K symbols, for the whole episode and must play the cue of the next agent of the
ring.  At the first step nobody has heard anything, so a team that talks is right from the second step on.

Axis legend: E copies, N agents, K symbols = actions.
For `heliograph.environments` only; made by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from heliograph.environments import picture
from heliograph.environments.cue_task import CueTask, CueTaskSettings, blind_bound, one_hot, ring, seen_targets
from heliograph.environments.vector import EnvironmentSpec


class RelaySignalSettings(CueTaskSettings):
    """Parameters of the environment `relay-signal`."""

    symbols: Annotated[int, Field(ge=2, le=1024)] = 4
    """Different cues, and actions to answer them with."""
    length: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Steps of every episode; the first cannot be solved."""
    hears: Literal["all", "ring"] = "all"
    """all: everyone; ring: only the agent that sees one's target."""


class RelaySignalEnvironment(CueTask):
    """`count` copies of relay-signal.

    Reward of agent i: 1 whenever it plays its target, the cue of agent i + 1.  Outcome "won": all are right at the
    last step.  With cue = own an agent sees its target itself, with cue = none nobody sees anything.
    """

    def __init__(self, *, count: int, settings: RelaySignalSettings | None = None) -> None:
        settings = RelaySignalSettings() if settings is None else settings
        self._symbols = settings.symbols
        self._cue = settings.cue
        agents = settings.agents
        spec = EnvironmentSpec(
            id="relay-signal",
            parameters=settings.model_dump(mode="json"),
            agents=agents,
            observation_size=settings.symbols,
            actions=settings.symbols,
            episode_limit=settings.length,
            complete_graph=settings.hears == "all",
            outcome="won",
            blind_bound=blind_bound(settings, targets=settings.symbols),
        )
        super().__init__(count=count, spec=spec, settings=settings)
        self._targets = np.zeros((count, agents), dtype=np.int64)
        self._played = np.full((count, agents), -1, dtype=np.int64)  # -1: nothing yet
        # The target of agent i is the cue of agent i + 1, who alone sees it.
        graph = ring(agents, offset=1) if settings.hears == "ring" else np.ones((agents, agents), dtype=bool)
        self._graph = np.broadcast_to(graph, (count, agents, agents))

    def _draw(self, copy: int, generator: np.random.Generator) -> None:
        self._targets[copy] = generator.integers(self._symbols, size=self.spec.agents)
        self._played[copy] = -1

    def _apply(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._played = actions.astype(np.int64)
        right = self._played == self._targets
        return right.astype(np.float32), right

    def _observe(self) -> np.ndarray:
        return seen_targets(self._targets, cue=self._cue, choices=self._symbols, offset=-1)

    def _action_mask(self) -> np.ndarray:
        return np.ones((self.count, self.spec.agents, self._symbols), dtype=bool)

    def _hears(self) -> np.ndarray:
        return self._graph

    def state(self) -> np.ndarray:
        """All targets, one-hot, float32 [E, N * K]."""
        return one_hot(self._targets, self._symbols).reshape(self.count, -1)

    def render(self, copy: int = 0) -> np.ndarray:
        """One row per agent and one column per symbol: its target (frame), what it played last (disc)."""
        return picture.table(self._symbols, targets=self._targets[copy], played=self._played[copy])
