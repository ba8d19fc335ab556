"""The relay-signal task: everyone must play the symbol that only another agent sees.  The fast sibling of relay.

Each of N agents is shown one of K symbols, its cue, during a whole episode of three steps.  Agent i earns 1 at every
step at which it plays the cue of agent i + 1 (mod N); the team has won if all play right at the last step.  A team
that cannot hear wins with probability at most 1 / K^(N-1).

Axis legend: E copies, N agents, D = K observation, A = K actions.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

from heliograph.environments.drawing import Canvas
from heliograph.environments.relay import checked_actions
from heliograph.environments.vector import EnvironmentSpec, Percepts, Transition, VectorEnvironment
from heliograph.settings import Settings


class RelaySignalSettings(Settings):
    agents: Annotated[int, Field(ge=2, le=64)] = 2
    symbols: Annotated[int, Field(ge=2, le=1024)] = 4
    length: PositiveInt = 3
    """Steps of every episode; at the first one nobody has heard anything yet."""
    reward: Literal["individual", "team"] = "individual"
    """Everyone its own, or everyone the mean."""


class RelaySignalEnvironment(VectorEnvironment):
    """Vectorised over copies; every random number of an episode comes from its seed alone."""

    def __init__(self, settings: RelaySignalSettings, *, count: int) -> None:
        self.settings, self.count = settings, count
        agents = settings.agents
        self.spec = EnvironmentSpec(
            id="relay-signal",
            parameters=settings.model_dump(),
            agents=agents,
            observation_size=settings.symbols,
            actions=settings.symbols,
            episode_limit=settings.length,
            complete_graph=True,
            outcome="won",
            blind_bound=float(settings.symbols ** -(agents - 1)),
        )
        self._cue = np.zeros((count, agents), dtype=np.int64)
        self._played = np.full((count, agents), -1)
        self._step = np.zeros(count, dtype=np.int64)

    def reset(self, seeds: np.ndarray, copies: np.ndarray | None = None) -> Percepts:
        chosen = np.arange(self.count) if copies is None else copies
        for copy, seed in zip(chosen, seeds, strict=True):
            random = np.random.Generator(np.random.Philox(int(seed)))
            self._cue[copy] = random.integers(self.settings.symbols, size=self.settings.agents)
        self._step[chosen] = 0
        self._played[chosen] = -1
        return self._percepts()

    def step(self, actions: np.ndarray) -> Transition:
        settings = self.settings
        percepts = self._percepts()
        self._played = checked_actions(actions, percepts.action_mask)
        right = self._played == np.roll(self._cue, -1, axis=1)
        reward = right.astype(np.float32)
        if settings.reward == "team":
            reward = np.broadcast_to(reward.mean(1, keepdims=True), reward.shape).astype(np.float32)
        self._step += 1
        over = self._step >= settings.length
        return Transition(
            percepts=percepts,
            reward=reward,
            terminated=np.zeros((self.count, settings.agents), dtype=bool),
            truncated=over,
            over=over,
            outcome=np.where(over, right.all(1), np.nan).astype(np.float32),
        )

    def render(self, copy: int = 0) -> np.ndarray:
        """A row per agent, a column per symbol: a ring on the symbol to play, a disc on the one played last."""
        canvas = Canvas.grid(self.settings.agents, self.settings.symbols)
        wanted = np.roll(self._cue[copy], -1)
        for slot in range(self.settings.agents):
            canvas.ring(np.array([slot, wanted[slot]]), slot)
            if self._played[copy, slot] >= 0:
                canvas.disc(np.array([slot, self._played[copy, slot]]), slot, 1)
        return canvas.pixels

    def _percepts(self) -> Percepts:
        agents, symbols = self.settings.agents, self.settings.symbols
        graph = np.ones((self.count, agents, agents), dtype=bool)
        graph[:, np.arange(agents), np.arange(agents)] = False
        return Percepts(
            observation=np.eye(symbols, dtype=np.float32)[self._cue],
            action_mask=np.ones((self.count, agents, symbols), dtype=bool),
            hears=graph,
            present=np.ones((self.count, agents), dtype=bool),
        )
