"""Sizes of a foreign environment's agents, and its observations, masks and actions brought to one size.

For `heliograph.environments.parallel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from heliograph.errors import WorldError


class AgentSpaces:
    """The observation and action spaces of all agents of a PettingZoo parallel environment."""

    def __init__(self, environment: Any, names: list[Any], *, adapter: str, action_bits: int) -> None:
        """Raises WorldError unless every agent's observations can be flattened, and as `acting.team_actions` does."""
        from gymnasium import spaces

        from heliograph.environments.acting import team_actions

        self._adapter = adapter
        self._observed = {}
        for name in names:
            space = environment.observation_space(name)
            if isinstance(space, spaces.Dict) and "observation" in space.spaces:
                space = space["observation"]
            if not space.is_np_flattenable:
                raise WorldError(f"{adapter}: observation space {space} of agent {name!r} cannot be made one vector")
            self._observed[name] = space
        self._acting = team_actions(environment, names, adapter=adapter, bits=action_bits)
        self._sizes = {name: int(spaces.flatdim(space)) for name, space in self._observed.items()}
        self._identity = dict(zip(names, np.eye(len(names), dtype=np.float32), strict=True))
        self.actions = max(self._acting.sizes.values())
        self.continuous = self._acting.continuous
        self._longest = max(self._sizes.values())
        self._differ = len(set(self._sizes.values())) > 1 or len(set(self._acting.sizes.values())) > 1
        self.observation_size = self._longest + (len(names) if self._differ else 0)

    def masks_actions(self, observations: Mapping[Any, Any], infos: Mapping[Any, Any]) -> bool:
        """Whether some actions may be illegal, judged by what a reset returned."""
        offered = (_offered_mask(observations.get(name), infos.get(name) or {}) for name in self._acting.sizes)
        surplus = any(size < self.actions for size in self._acting.sizes.values())
        return surplus or any(mask is not None for mask in offered)

    def observation(self, name: Any, given: Any) -> np.ndarray:
        """float32 [D].  Raises WorldError for a wrong shape or a number that is not finite."""
        from gymnasium import spaces

        if isinstance(given, Mapping) and "observation" in given and "observation" not in self._keys(name):
            given = given["observation"]
        space = self._observed[name]
        if space.shape is not None and np.shape(given) != space.shape:
            raise self._bad("observation", name, f"has shape {np.shape(given)}, its space says {space.shape}")
        try:
            flat = np.asarray(spaces.flatten(space, given), dtype=np.float32)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._bad("observation", name, f"does not fit its space {space}: {error}") from error
        if flat.shape != (self._sizes[name],):
            raise self._bad("observation", name, f"has {flat.size} numbers, its space says {self._sizes[name]}")
        if not np.isfinite(flat).all():
            raise self._bad("observation", name, f"holds {flat[~np.isfinite(flat)][0]}")
        padded = np.zeros(self.observation_size, dtype=np.float32)
        padded[: flat.size] = flat
        if self._differ:
            padded[self._longest :] = self._identity[name]
        return padded

    def mask(self, name: Any, observation: Any, info: Mapping[str, Any]) -> np.ndarray:
        """bool [A].  Raises WorldError for a mask of a wrong size or one that allows nothing."""
        offered = _offered_mask(observation, info)
        mask = self.any_action(name)
        if offered is None:
            return mask
        size = self._acting.sizes[name]
        if np.shape(offered) != (size,):
            raise self._bad("action_mask", name, f"has shape {np.shape(offered)}, its action space has {size}")
        mask[:size] = np.asarray(offered).astype(bool)
        if not mask.any():
            raise self._bad("action_mask", name, "allows no action")
        return mask

    def any_action(self, name: Any) -> np.ndarray:
        """bool [A]: all actions, or dimensions of one, that the agent's own space has."""
        return np.arange(self.actions) < self._acting.sizes[name]

    def action(self, name: Any, action: np.ndarray) -> Any:
        """The environment's own form of an action: of one that we count from 0, or of a vector [k]."""
        return self._acting.native(name, action)

    def _keys(self, name: Any) -> Any:
        return getattr(self._observed[name], "spaces", ())

    def _bad(self, what: str, name: Any, problem: str) -> WorldError:
        return WorldError(f"{self._adapter}: field {what!r} of agent {name!r} {problem}")


def _offered_mask(observation: Any, info: Mapping[str, Any]) -> Any:
    if isinstance(observation, Mapping) and "action_mask" in observation:
        return observation["action_mask"]
    return info.get("action_mask")
