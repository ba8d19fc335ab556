"""What `relay` and `relay-signal` share: cues shown to another agent, fixed episodes, a seed per copy, noise, rewards.

Axis legend: E copies, N agents of a team, D observation size, A actions.
For `heliograph.environments` only.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

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


class CueTask(VectorEnvironment):
    """Bookkeeping of episodes; a task draws a copy's start, applies actions and says what the agents see.

    Every copy has a generator of its own, made from the seed of its episode, so neither the other copies nor
    earlier episodes change what it draws.
    """

    def __init__(self, settings: CueTaskSettings, *, count: int, spec: EnvironmentSpec) -> None:
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.count, self._spec, self.settings = count, spec, settings
        self._random: list[np.random.Generator | None] = [None] * count
        self._step = np.full(count, settings.length, dtype=np.int64)  # as after an episode: nothing runs yet
        self._noise = np.zeros((count, spec.agents, spec.observation_size), dtype=np.float32)

    @abstractmethod
    def _draw(self, copy: int, random: np.random.Generator) -> None:
        """Draw the start of an episode of one copy."""

    @abstractmethod
    def _apply(
        self, actions: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.bool_]]:
        """Apply legal actions [E, N]; return each agent's own reward [E, N] and who is right now, bool [E, N]."""

    @abstractmethod
    def _observe(self) -> npt.NDArray[np.float32]:
        """Observations without noise, float32 [E, N, D]."""

    @abstractmethod
    def _action_mask(self) -> npt.NDArray[np.bool_]:
        """bool [E, N, A]."""

    @abstractmethod
    def _hears(self) -> npt.NDArray[np.bool_]:
        """bool [E, N, N], false on the diagonal."""

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        for copy, seed in zip(chosen.tolist(), given.tolist(), strict=True):
            random = np.random.Generator(np.random.Philox(seed))
            self._random[copy] = random
            self._draw(copy, random)
        self._step[chosen] = 0
        self._draw_noise(chosen.tolist())
        return self._agent_inputs()

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._step < self.settings.length)
        reward, right = self._apply(checked_actions(actions, mask=self._action_mask()))
        if self.settings.reward == "team":
            reward = np.repeat(reward.mean(axis=1, keepdims=True), self.spec.agents, axis=1)
        self._step += 1
        self._draw_noise(range(self.count))
        over = self._step >= self.settings.length
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=reward.astype(np.float32),
            terminated=np.zeros(right.shape, dtype=bool),
            truncated=over,
            over=over.copy(),
            outcome=np.where(over, right.all(axis=1), np.nan).astype(np.float32),
            lost=np.zeros(self.count, dtype=bool),
        )

    def _agent_inputs(self) -> AgentInputs:
        return AgentInputs(
            observation=self._observe() + self._noise,
            action_mask=self._action_mask(),
            hears=self._hears(),
            present=np.ones((self.count, self.spec.agents), dtype=bool),
        )

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
