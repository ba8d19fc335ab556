"""What `relay` and `relay-signal` share: cues that a teammate sees, fixed episodes, seeds per copy, noise, rewards.

Axis legend: E copies, N agents of a team, D observation size, A actions.
For `heliograph.environments` only.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from heliograph.environments.vector import EnvironmentSpec, Percepts, Transition, VectorEnvironment
from heliograph.errors import WorldError
from heliograph.settings import Settings

Cue = Literal["next", "own", "none"]


class CueTaskSettings(Settings):
    """Knobs of every task in which an agent's target is shown to another agent."""

    agents: Annotated[int, Field(ge=1, le=256)] = 2
    """Agents of a team; alone, an agent is its own next."""
    length: Annotated[int, Field(ge=1, le=10_000)]
    """Steps of every episode; its end is a truncation."""
    cue: Cue = "next"
    """Whose target an agent sees: its neighbour's in the ring, its own (nothing to tell), or none (nothing can be told)."""
    reward: Literal["individual", "team"] = "individual"
    """Each agent its own, or each the mean over the team."""
    observation_noise: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    """Standard deviation of Gaussian noise added to every number that an agent observes."""


class CueTask(VectorEnvironment):
    """Bookkeeping of episodes; a task draws a copy's start, moves the agents and says what they see.

    Every copy has a generator of its own, made from the seed of its episode, so neither the other copies nor
    earlier episodes change what it draws.
    """

    def __init__(self, *, count: int, spec: EnvironmentSpec, settings: CueTaskSettings) -> None:
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.count = count
        self.spec = spec
        self._settings = settings
        self._generators: list[np.random.Generator | None] = [None] * count
        self._elapsed = np.zeros(count, dtype=np.int64)
        self._noise = np.zeros((count, spec.agents, spec.observation_size), dtype=np.float32)

    @abstractmethod
    def _draw(self, copy: int, generator: np.random.Generator) -> None:
        """Draw the start of an episode of one copy."""

    @abstractmethod
    def _apply(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply legal actions [E, N]; return each agent's own reward [E, N] and who is right now, bool [E, N]."""

    @abstractmethod
    def _observe(self) -> np.ndarray:
        """Observations without noise, float32 [E, N, D]."""

    @abstractmethod
    def _action_mask(self) -> np.ndarray:
        """bool [E, N, A]."""

    @abstractmethod
    def _hears(self) -> np.ndarray:
        """bool [E, N, N], any diagonal."""

    def reset(self, seeds: np.ndarray, copies: np.ndarray | None = None) -> Percepts:
        """See VectorEnvironment.  Raises WorldError for a negative seed, a wrong number of seeds or no such copy."""
        chosen = np.arange(self.count) if copies is None else np.asarray(copies, dtype=np.int64).reshape(-1)
        given = np.asarray(seeds).reshape(-1)
        if given.shape != chosen.shape:
            raise WorldError(f"{given.size} seeds for {chosen.size} copies to reset")
        if given.size and int(given.min()) < 0:
            raise WorldError(f"seed {int(given.min())} is negative")
        if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < self.count:
            raise WorldError(f"cannot reset copies {chosen.tolist()} of {self.count}")
        for copy, seed in zip(chosen.tolist(), given.tolist(), strict=True):
            generator = np.random.default_rng(seed)
            self._generators[copy] = generator
            self._draw(copy, generator)
        self._elapsed[chosen] = 0
        self._draw_noise(chosen.tolist())
        return self._percepts()

    def step(self, actions: np.ndarray) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy was never reset or its episode is over."""
        for copy, generator in enumerate(self._generators):
            if generator is None or self._elapsed[copy] >= self._settings.length:
                raise WorldError(f"copy {copy} has no running episode", remedy="Reset it before its next step")
        legal = _checked_actions(actions, mask=self._action_mask())
        own_reward, right = self._apply(legal)
        self._elapsed += 1
        self._draw_noise(range(self.count))
        over = self._elapsed == self._settings.length
        won = right.all(axis=1).astype(np.float32)
        if self._settings.reward == "team":
            own_reward = np.broadcast_to(own_reward.mean(axis=1, keepdims=True), own_reward.shape)
        return Transition(
            percepts=self._percepts(),
            reward=own_reward.astype(np.float32),
            terminated=np.zeros(right.shape, dtype=bool),
            truncated=over,
            over=over.copy(),
            outcome=np.where(over, won, np.float32(np.nan)),
        )

    def _percepts(self) -> Percepts:
        hears = self._hears() & ~np.eye(self.spec.agents, dtype=bool)
        return Percepts(
            observation=self._observe() + self._noise,
            action_mask=self._action_mask(),
            hears=hears,
            present=np.ones((self.count, self.spec.agents), dtype=bool),
        )

    def _draw_noise(self, copies: Iterable[int]) -> None:
        if self._settings.observation_noise == 0.0:
            return
        for copy in copies:
            generator = self._generators[copy]
            assert generator is not None
            self._noise[copy] = generator.normal(0.0, self._settings.observation_noise, size=self._noise[copy].shape)


def blind_bound(settings: CueTaskSettings, *, targets: int) -> float | None:
    """Best probability that all of a team that cannot hear are right at the end, of `targets` equally likely targets each.

    cue next: the guess of agent i is a function of the target that it sees, so around the ring one target fixes all
    others: at most `targets` of the targets^N equally likely cases can be won, and copying the seen target (a public
    rule, no message needed) wins exactly those in which all targets are equal.  cue own: 1.  cue none: every agent
    guesses alone.  With noise none of this is exact, and the answer is None.
    """
    if settings.observation_noise > 0.0:
        return None
    unknown = {"next": settings.agents - 1, "own": 0, "none": settings.agents}[settings.cue]
    return float(targets) ** -unknown


def ring(agents: int, *, offset: int) -> np.ndarray:
    """bool [N, N]: agent i hears only agent i + offset, around the ring."""
    hears = np.zeros((agents, agents), dtype=bool)
    hears[np.arange(agents), (np.arange(agents) + offset) % agents] = True
    return hears


def seen_targets(targets: np.ndarray, *, cue: Cue, choices: int, offset: int) -> np.ndarray:
    """One-hot float32 [E, N, choices] of the target that each agent sees: agent i + offset's, its own, or zeros."""
    if cue == "none":
        return np.zeros((*targets.shape, choices), dtype=np.float32)
    shown = np.roll(targets, -offset, axis=1) if cue == "next" else targets
    return one_hot(shown, choices)


def one_hot(indices: np.ndarray, choices: int) -> np.ndarray:
    """float32 [..., choices] of integers [...]."""
    return np.eye(choices, dtype=np.float32)[indices]


def _checked_actions(actions: np.ndarray, *, mask: np.ndarray) -> np.ndarray:
    given: Any = np.asarray(actions)
    if given.shape != mask.shape[:2] or not np.issubdtype(given.dtype, np.integer):
        raise WorldError(f"actions must be integers {mask.shape[:2]}, not {given.dtype} {given.shape}")
    if int(given.min()) < 0 or int(given.max()) >= mask.shape[2]:
        raise WorldError(f"action outside 0..{mask.shape[2] - 1}: {int(given.min())}..{int(given.max())}")
    legal = np.take_along_axis(mask, given[..., None], axis=2)[..., 0]
    if not legal.all():
        copy, agent = (int(index) for index in np.argwhere(~legal)[0])
        raise WorldError(f"action {int(given[copy, agent])} of agent {agent} in copy {copy} is illegal there")
    return given
