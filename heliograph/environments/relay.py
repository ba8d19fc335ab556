"""The relay task: every agent knows where another one must go, and nobody knows where to go itself.

N agents stand on a G x G grid.  Agent i sees its own cell and the target of agent i + 1 (mod N), never its own.
An episode has a fixed length and ends by its time limit.  Each step earns 0.5 x the distance gained and 0.5 more
when standing on the target; the team has won if all stand on their targets at the last step.  Cells may be shared.

A team that cannot hear wins with probability at most 1 / G^(2(N-1)): only the last cell counts, no observation
says anything about the own target, and even with common randomness the agents can only bet on one consistent joint
guess.  Agent i's guess may depend on the target of i + 1, so one of the N targets is free.

Axis legend: E copies, N agents, D = 2 G^2 observation, A = 5 actions.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from heliograph.environments.drawing import Canvas
from heliograph.environments.vector import EnvironmentSpec, Percepts, Transition, VectorEnvironment
from heliograph.errors import WorldError
from heliograph.settings import Settings

MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])
"""Stay, up, down, left, right as (row, column)."""


class RelaySettings(Settings):
    agents: Annotated[int, Field(ge=2, le=64)] = 2
    size: Annotated[int, Field(ge=2, le=64)] = 3
    """Side G of the grid."""
    length: PositiveInt = 6
    """Steps of every episode."""
    cue: Literal["next", "own", "none"] = "next"
    """Whose target an agent sees: the next agent's, its own, or nobody's (zeros)."""
    hears: Literal["all", "ring", "range"] = "all"
    """Who is heard: everyone; the one agent that sees my target; or agents within my hearing range now."""
    range: NonNegativeInt = 1
    """For `hears = "range"`: even slots hear as far as this many cells (Chebyshev), odd slots one cell further, so
    hearing is directed, and it changes as the agents move."""
    reward: Literal["individual", "team"] = "individual"
    """Everyone its own, or everyone the mean."""
    observation_noise: NonNegativeFloat = 0.0
    """Standard deviation of Gaussian noise on every observation entry."""


def hearing_graph(settings: RelaySettings, position: np.ndarray) -> np.ndarray:
    """bool [E, N, N] for positions [E, N, 2]: [e, i, j] says that i hears j; false on the diagonal."""
    copies, agents = position.shape[:2]
    slots = np.arange(agents)
    if settings.hears == "all":
        graph = np.ones((copies, agents, agents), dtype=bool)
    elif settings.hears == "ring":
        graph = np.broadcast_to((slots[:, None] - 1) % agents == slots[None, :], (copies, agents, agents)).copy()
    else:
        distance = np.abs(position[:, :, None] - position[:, None]).max(-1)
        graph = distance <= (settings.range + slots % 2)[None, :, None]
    graph[:, slots, slots] = False
    return graph


class RelayEnvironment(VectorEnvironment):
    """Vectorised over copies; every random number of an episode comes from its seed alone."""

    def __init__(self, settings: RelaySettings, *, count: int) -> None:
        self.settings, self.count = settings, count
        agents, cells = settings.agents, settings.size**2
        bounds = {"next": cells ** -(agents - 1), "own": 1.0, "none": cells**-agents}
        self.spec = EnvironmentSpec(
            id="relay",
            parameters=settings.model_dump(),
            agents=agents,
            observation_size=2 * cells,
            actions=len(MOVES),
            episode_limit=settings.length,
            complete_graph=settings.hears == "all",
            outcome="won",
            blind_bound=float(bounds[settings.cue]),
            has_action_mask=True,
        )
        self._position = np.zeros((count, agents, 2), dtype=np.int64)
        self._target = np.zeros((count, agents, 2), dtype=np.int64)
        self._step = np.zeros(count, dtype=np.int64)
        self._noise = np.zeros((count, settings.length + 1, agents, 2 * cells), dtype=np.float32)

    def reset(self, seeds: np.ndarray, copies: np.ndarray | None = None) -> Percepts:
        settings = self.settings
        chosen = np.arange(self.count) if copies is None else copies
        for copy, seed in zip(chosen, seeds, strict=True):
            random = np.random.Generator(np.random.Philox(int(seed)))
            self._position[copy] = random.integers(settings.size, size=(settings.agents, 2))
            self._target[copy] = random.integers(settings.size, size=(settings.agents, 2))
            if settings.observation_noise:
                self._noise[copy] = settings.observation_noise * random.standard_normal(self._noise[copy].shape)
        self._step[chosen] = 0
        return self._percepts()

    def step(self, actions: np.ndarray) -> Transition:
        settings, before = self.settings, self._distance()
        mask = self._action_mask()
        checked = checked_actions(actions, mask)
        self._position = self._position + MOVES[checked]
        self._step += 1
        after = self._distance()
        reward = (0.5 * (before - after) + 0.5 * (after == 0)).astype(np.float32)
        if settings.reward == "team":
            reward = np.broadcast_to(reward.mean(1, keepdims=True), reward.shape).astype(np.float32)
        over = self._step >= settings.length
        return Transition(
            percepts=self._percepts(),
            reward=reward,
            terminated=np.zeros((self.count, settings.agents), dtype=bool),
            truncated=over,
            over=over,
            outcome=np.where(over, (after == 0).all(1), np.nan).astype(np.float32),
        )

    def render(self, copy: int = 0) -> np.ndarray:
        """Agents as discs, their targets as rings of the same colour, an arrow from each heard agent to its hearer."""
        graph = hearing_graph(self.settings, self._position)[copy]
        canvas = Canvas.grid(self.settings.size)
        for slot in range(self.settings.agents):
            canvas.ring(self._target[copy, slot], slot)
        for hearer, heard in np.argwhere(graph):
            canvas.arrow(self._position[copy, heard], self._position[copy, hearer], heard)
        for slot in range(self.settings.agents):
            canvas.disc(self._position[copy, slot], slot, self.settings.agents)
        return canvas.pixels

    def _distance(self) -> np.ndarray:
        return np.abs(self._position - self._target).sum(-1)  # [E, N], in moves

    def _action_mask(self) -> np.ndarray:
        reached = self._position[:, :, None] + MOVES  # [E, N, A, 2]
        return ((reached >= 0) & (reached < self.settings.size)).all(-1)

    def _percepts(self) -> Percepts:
        settings, cells = self.settings, self.settings.size**2
        identity = np.eye(cells, dtype=np.float32)
        own = identity[self._position @ (settings.size, 1)]
        targets = identity[self._target @ (settings.size, 1)]
        cue = {"next": np.roll(targets, -1, axis=1), "own": targets, "none": np.zeros_like(targets)}[settings.cue]
        observation = np.concatenate([own, cue], axis=-1)
        if settings.observation_noise:
            observation = observation + self._noise[np.arange(self.count), self._step]
        return Percepts(
            observation=observation,
            action_mask=self._action_mask(),
            hears=hearing_graph(settings, self._position),
            present=np.ones((self.count, settings.agents), dtype=bool),
        )


def checked_actions(actions: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
    """Return int64 actions [E, N].  Raises WorldError if the shape is wrong or one is out of range or illegal."""
    checked = np.asarray(actions).astype(np.int64)
    if checked.shape != action_mask.shape[:2]:
        raise WorldError(f"actions have shape {checked.shape}, expected {action_mask.shape[:2]}")
    count = action_mask.shape[-1]
    if ((checked < 0) | (checked >= count)).any():
        raise WorldError(f"action outside 0..{count - 1}: {checked.min()}..{checked.max()}")
    legal = np.take_along_axis(action_mask, checked[..., None], axis=-1)[..., 0]
    if not legal.all():
        copy, slot = np.argwhere(~legal)[0]
        raise WorldError(f"action {checked[copy, slot]} of slot {slot} is illegal now")
    return checked
