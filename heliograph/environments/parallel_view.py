"""One copy of our environments as a PettingZoo parallel environment.

Imports PettingZoo and gymnasium; reach it through `heliograph.environments.parallel.as_parallel`.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from pettingzoo import ParallelEnv

from heliograph.actions import Action, ActionSpace, DiscreteActions
from heliograph.environments.contract import NEIGHBOUR_NAMES
from heliograph.environments.factors import Factors
from heliograph.environments.vector import AgentInputs, VectorEnvironment
from heliograph.errors import WorldError


class ParallelView(ParallelEnv):
    """Copy 0 of `environment`; agents are named agent_0 … agent_(N-1) by slot.

    Observations are float32 [D], or [height, width, channels] in 0..1 where they are an image and nothing else;
    {"observation", "action_mask"} where some actions are illegal at times, as PettingZoo's samplers expect.
    infos[agent] holds "action_mask" int8 [A], "neighbours" (names; also as "hears", its older name), and "won" where
    that is the environment's outcome.  Continuous actions are between their real bounds, as many as the agent has,
    and have no mask; in a mixed team each agent has what is its own.  Actions of several factors keep their joint
    numbers; `metadata["joint_actions"]` says what of.
    """

    def __init__(self, environment: VectorEnvironment) -> None:
        spec = environment.spec
        self.metadata: dict[str, Any] = {"name": spec.id, "render_modes": ["rgb_array"]}
        if spec.factors:
            words = {f"agent_{slot}": Factors(sizes=sizes).words for slot, sizes in enumerate(spec.factors) if sizes}
            self.metadata["joint_actions"] = words
        self.render_mode = "rgb_array"
        self.max_cycles = spec.episode_limit
        self.possible_agents = [f"agent_{slot}" for slot in range(spec.agents)]
        self.agents: list[str] = []
        self._environment = environment
        self._slots = {name: slot for slot, name in enumerate(self.possible_agents)}
        self._seeds = np.random.default_rng()
        self._mask = np.ones((spec.agents, spec.actions), dtype=np.bool_)
        self._rows = spec.rows
        self._image = spec.image if spec.image and math.prod(spec.image) == spec.observation_size else None
        # PettingZoo wants a space object per agent, the same one at every call.
        self._observed = {name: self._observation_space(slot) for name, slot in self._slots.items()}
        self._acting = {name: _acting(spec.action_space(slot)) for name, slot in self._slots.items()}

    def _observation_space(self, slot: int) -> spaces.Space[Any]:
        spec = self._environment.spec
        if self._image is None:
            seen = spaces.Box(-np.inf, np.inf, (spec.observation_size,), np.float32)
        else:
            seen = spaces.Box(0, 1, self._image, np.float32)
        if not self._shows_mask(slot):
            return seen
        mask = spaces.Box(0, 1, (spec.action_space(slot).mask_size,), np.int8)
        return spaces.Dict({"observation": seen, "action_mask": mask})

    def _shows_mask(self, slot: int) -> bool:
        """Whether the agent observes its mask."""
        return self._environment.spec.has_action_mask and not self._rows.is_vector(slot)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self._observed[agent]

    def action_space(self, agent: str) -> spaces.Discrete[Any] | spaces.Box:
        return self._acting[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Start an episode; without a seed, one drawn from the seed given last.  `options` has no effect."""
        if seed is None:
            seed = int(self._seeds.integers(2**31))
        else:
            self._seeds = np.random.default_rng(seed)
        seeds = np.full(self._environment.count, seed, dtype=np.int64)
        agent_inputs = self._environment.reset(seeds)
        self.agents = [name for name in self.possible_agents if agent_inputs.present[0, self._slots[name]]]
        return self._shown(agent_inputs, self.agents, won=False)

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Apply the actions of the live agents.  Raises WorldError for what is none, or illegal, or of nobody."""
        joint = self._joint(actions)
        transition = self._environment.step(np.repeat(joint[None], self._environment.count, axis=0))
        acted, over = self.agents, bool(transition.over[0])
        agent_inputs = transition.agent_inputs
        terminated = {name: bool(transition.terminated[0, self._slots[name]]) for name in acted}
        left = {name: over or not agent_inputs.present[0, self._slots[name]] for name in acted}
        truncated = {name: left[name] and not terminated[name] for name in acted}
        self.agents = [name for name in acted if not (terminated[name] or truncated[name])]
        won = over and bool(transition.outcome[0] == 1.0)
        observations, infos = self._shown(agent_inputs, acted, won=won)
        rewards = {name: float(transition.reward[0, self._slots[name]]) for name in acted}
        return observations, rewards, terminated, truncated, infos

    def _joint(self, actions: dict[str, Any]) -> npt.NDArray[Any]:
        """[N] or [N, k] as our environments take them; whoever has left does what it may, which is ignored."""
        rows = self._rows
        joint = rows.drawn(np.full(self._mask.shape, 0.5), self._mask).astype(rows.dtype)
        for name, action in actions.items():
            if name not in self._slots:
                raise WorldError(f"there is no agent {name!r}", remedy=f"Its agents are {', '.join(self._slots)}")
            joint[self._slots[name]] = rows.row(self._slots[name], self._ours(name, action))
        return joint

    def _ours(self, name: str, action: Any) -> Action:
        """One agent's action, of a vector in units of its bounds."""
        space = self._environment.spec.action_space(self._slots[name])
        if isinstance(space, DiscreteActions):
            try:
                number = operator.index(action)
            except TypeError:
                raise WorldError(f"action of agent {name!r} is {action!r}, which is no integer") from None
            if not space.admits(number):
                raise WorldError(f"action of agent {name!r} is {number}, outside 0..{space.count - 1}")
            return number
        shape = self._acting[name].shape
        try:
            numbers = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise WorldError(f"action of agent {name!r} is {action!r}, which is no vector of numbers") from None
        if numbers.shape != shape:
            raise WorldError(f"action of agent {name!r} has shape {numbers.shape}, not {shape}")
        padded = np.zeros(space.size)
        padded[: numbers.size] = numbers
        return space.unscaled(padded)

    def state(self) -> npt.NDArray[np.float32]:
        """Global state float32 [S].  Raises NotImplementedError where the environment has none."""
        states = self._environment.state()
        if states is None:
            raise NotImplementedError(f"environment {self.metadata['name']!r} has no global state")
        state: npt.NDArray[np.float32] = states[0]
        return state

    def render(self) -> npt.NDArray[np.uint8]:
        """See VectorEnvironment.render."""
        return self._environment.render(0)

    def close(self) -> None:
        self._environment.close()

    def _shown(
        self, agent_inputs: AgentInputs, names: list[str], *, won: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        spec = self._environment.spec
        self._mask = agent_inputs.action_mask[0].copy()
        observations: dict[str, Any] = {}
        infos: dict[str, dict[str, Any]] = {}
        for name in names:
            slot = self._slots[name]
            seen, mask = agent_inputs.observation[0, slot], self._mask[slot, self._rows.own(slot)].astype(np.int8)
            if self._image is not None:
                seen = seen.reshape(self._image)
            observations[name] = {"observation": seen, "action_mask": mask} if self._shows_mask(slot) else seen
            neighbours = tuple(self.possible_agents[other] for other in np.flatnonzero(agent_inputs.hears[0, slot]))
            infos[name] = {} if self._rows.is_vector(slot) else {"action_mask": mask}
            infos[name] |= dict.fromkeys(NEIGHBOUR_NAMES, neighbours)
            if spec.outcome == "won":
                infos[name]["won"] = won
        return observations, infos


def _acting(actions: ActionSpace) -> spaces.Discrete[Any] | spaces.Box:
    if isinstance(actions, DiscreteActions):
        return spaces.Discrete(actions.count)
    low, high = (np.array(bounds[: actions.own_size], dtype=np.float32) for bounds in (actions.low, actions.high))
    return spaces.Box(low, high, dtype=np.float32)
