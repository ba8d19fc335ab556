"""What `relay` and `relay-signal` share: cues shown to another agent, fixed episodes, a seed per copy, noise, rewards.

Axis legend: E copies, N agents of a team, D observation size, A actions.
For `heliograph.environments` only.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from heliograph.environments.drawn_task import Advance, DrawnTask
from heliograph.environments.vector import AgentInputs, EnvironmentSpec
from heliograph.settings import Settings


class CueTaskSettings(Settings):
    """Knobs of every task in which an agent's target is shown to another agent."""

    agents: Annotated[int, Field(ge=2, le=64)] = 2
    length: Annotated[int, Field(ge=1, le=10_000)]
    """Steps of every episode."""
    cue: Literal["next", "own", "none"] = "next"
    """Whose target an agent sees: another agent's, its own (nothing to tell), or nobody's (zeros)."""
    reward: Literal["individual", "team"] = "individual"
    """Everyone its own, or everyone the mean."""
    observation_noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Standard deviation of Gaussian noise on every observation entry."""


class CueTask(DrawnTask):
    """A task draws a copy's start, applies actions and says what the agents see; what is right at the end counts.

    Every copy has a generator of its own, made from the seed of its episode, so neither the other copies nor
    earlier episodes change what it draws.
    """

    def __init__(self, settings: CueTaskSettings, *, count: int, spec: EnvironmentSpec) -> None:
        super().__init__(count=count, spec=spec)
        self.settings = settings
        self._random: list[np.random.Generator | None] = [None] * count
        self._noise = np.zeros((count, spec.agents, spec.observation_size), dtype=np.float32)

    @abstractmethod
    def _draw(self, copy: int, random: np.random.Generator) -> None:
        """Draw the start of an episode of one copy."""

    @abstractmethod
    def _apply(
        self, actions: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.bool_]]:
        """Apply legal actions [E, N]; return each agent's own reward [E, N] and who is right now, bool [E, N]."""

    def _begin(self, copy: int, random: np.random.Generator) -> None:
        self._random[copy] = random
        self._draw(copy, random)
        self._draw_noise([copy])

    def _advance(self, actions: npt.NDArray[np.integer[Any]]) -> Advance:
        reward, right = self._apply(actions)
        if self.settings.reward == "team":
            reward = np.repeat(reward.mean(axis=1, keepdims=True), self.spec.agents, axis=1)
        self._draw_noise(range(self.count))
        return Advance(
            reward=reward, outcome=right.all(axis=1).astype(np.float32), decided=np.zeros(self.count, dtype=bool)
        )

    def _agent_inputs(self) -> AgentInputs:
        exact = super()._agent_inputs()
        return replace(exact, observation=exact.observation + self._noise)

    def _draw_noise(self, copies: Iterable[int]) -> None:
        if self.settings.observation_noise == 0.0:
            return
        for copy in copies:
            random = self._random[copy]
            assert random is not None
            self._noise[copy] = self.settings.observation_noise * random.standard_normal(self._noise[copy].shape)


def blind_bound(settings: CueTaskSettings, *, choices: int) -> float | None:
    """Best probability that a whole team that cannot hear is right at the end; `choices` equally likely targets each.

    cue next: the guess of agent i is a function of the target that it sees, so around the ring one target fixes all
    others: at most `choices` of the choices^N equally likely cases can be won, and repeating the seen target (a public
    rule, no message needed) wins exactly those in which all targets are equal.  cue own: 1.  cue none: every agent
    guesses alone, heard or not.  With noise none of this is exact, and the answer is None.
    """
    if settings.observation_noise > 0.0:
        return None
    unknown = {"next": settings.agents - 1, "own": 0, "none": settings.agents}[settings.cue]
    return float(choices) ** -unknown


def informed_by(agents: int, *, offset: int) -> npt.NDArray[np.bool_]:
    """bool [N, N]: agent i hears only agent i + offset (mod N)."""
    return np.roll(np.eye(agents, dtype=bool), offset, axis=1)


def shown(
    targets: npt.NDArray[np.float32], *, cue: Literal["next", "own", "none"], offset: int
) -> npt.NDArray[np.float32]:
    """What each agent sees of one-hot targets [E, N, choices]: agent i + offset's, its own, or zeros."""
    if cue == "none":
        return np.zeros_like(targets)
    return np.roll(targets, -offset, axis=1) if cue == "next" else targets


def one_hot(indices: npt.NDArray[np.int64], choices: int) -> npt.NDArray[np.float32]:
    """float32 [..., choices] of integers [...]."""
    return np.eye(choices, dtype=np.float32)[indices]
