"""A world of gymnasium as a parallel environment of one agent, or of one for every dimension of its action.

For `heliograph.environments.single`; imports gymnasium, and no PettingZoo.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from gymnasium import Env, spaces

ONE = "agent"


class _Acting(Protocol):
    """How the agents' own actions make the world's."""

    spaces: dict[str, spaces.Space[Any]]
    """By agent."""

    def joint(self, actions: dict[str, Any]) -> Any: ...


class _AsItIs:
    def __init__(self, space: spaces.Space[Any]) -> None:
        self.spaces = {ONE: space}

    def joint(self, actions: dict[str, Any]) -> Any:
        return actions[ONE]


class _Split:
    """Of a vector [k], a dimension for each of k agents."""

    def __init__(self, space: spaces.Box) -> None:
        bounds = zip(space.low.reshape(-1), space.high.reshape(-1), strict=True)
        self.spaces: dict[str, spaces.Space[Any]] = {
            f"{ONE}_{place}": spaces.Box(low, high, (1,), np.float32) for place, (low, high) in enumerate(bounds)
        }
        self._shape, self._dtype = space.shape, space.dtype

    def joint(self, actions: dict[str, Any]) -> npt.NDArray[Any]:
        values = [actions[name][0] for name in self.spaces]
        return np.array(values, dtype=self._dtype).reshape(self._shape)


class _Levels:
    """Numbered values of every dimension, from its low to its high bound; of all together, or an agent for each."""

    def __init__(self, space: spaces.Box, *, levels: int, split: bool) -> None:
        low, high = space.low.reshape(-1), space.high.reshape(-1)
        self._values: npt.NDArray[Any] = np.linspace(low, high, levels, dtype=space.dtype)  # [levels, k]
        self._shape = space.shape
        dimensions = self._values.shape[1]
        self.spaces: dict[str, spaces.Space[Any]] = {ONE: spaces.MultiDiscrete([levels] * dimensions)}
        if split or dimensions == 1:
            names = [f"{ONE}_{place}" for place in range(dimensions)] if split else [ONE]
            self.spaces = {name: spaces.Discrete(levels) for name in names}

    def joint(self, actions: dict[str, Any]) -> npt.NDArray[Any]:
        chosen = np.concatenate([np.reshape(actions[name], -1) for name in self.spaces])  # [k]
        values: npt.NDArray[Any] = self._values[chosen, np.arange(chosen.size)].reshape(self._shape)
        return values


class SingleTeam:
    """What `ParallelVector` takes; the agents, if they are several, get the same reward and end together.

    An observation that is a vector is passed on whatever bounds its space states: some of gymnasium's worlds leave
    theirs, the lander by flying away.
    """

    render_mode = "rgb_array"

    def __init__(self, world: Env[Any, Any], *, levels: int, split: bool, step_limit: int) -> None:
        """`step_limit` is that of the world itself."""
        self._world, self.max_episode_steps = world, step_limit
        space = world.action_space
        acting: _Acting = _AsItIs(space)
        if isinstance(space, spaces.Box) and levels:
            acting = _Levels(space, levels=levels, split=split)
        elif isinstance(space, spaces.Box) and split:
            acting = _Split(space)
        self._acting = acting
        self.possible_agents = list(acting.spaces)
        self.agents: list[str] = []
        observed = world.observation_space
        if isinstance(observed, spaces.Box) and len(observed.shape) == 1:
            size = observed.shape[0] + (len(self.possible_agents) if split else 0)
            observed = spaces.Box(-np.inf, np.inf, (size,), np.float64)
        self._observed = observed
        self._identity = np.eye(len(self.possible_agents)) if split else np.zeros((1, 0))

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self._observed

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self._acting.spaces[agent]

    def reset(self, seed: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        observation, _ = self._world.reset(seed=seed)
        self.agents = list(self.possible_agents)
        return self._seen(observation), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        observation, reward, terminated, truncated, _ = self._world.step(self._acting.joint(actions))
        acted, self.agents = self.agents, [] if terminated or truncated else self.agents
        each = (float(reward), bool(terminated), bool(truncated))
        return self._seen(observation), *(dict.fromkeys(acted, one) for one in each), {agent: {} for agent in acted}

    def _seen(self, observation: Any) -> dict[str, Any]:
        """Where agents share a world out, each also sees which part is its own, one-hot."""
        if not self._identity.size:
            return {ONE: observation}
        return {
            agent: np.concatenate([observation, own])
            for agent, own in zip(self.possible_agents, self._identity, strict=True)
        }

    def render(self) -> Any:
        return self._world.render()

    def close(self) -> None:
        self._world.close()
