"""PettingZoo's parallel interface, both ways: `as_parallel` shows our environments, `ParallelVector` takes others in.

Axis legend: E copies, N agents of a team (in the order of `possible_agents`), D observation size, A actions,
or numbers of a continuous one.
For `heliograph.environments` and users of the library; PettingZoo itself loads only in `as_parallel`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from heliograph.actions import DEFAULT_BITS
from heliograph.environments.spaces import AgentSpaces
from heliograph.environments.vector import (
    EnvironmentSpec,
    Percepts,
    Transition,
    VectorEnvironment,
    check_running,
    checked_actions,
    checked_seeds,
)
from heliograph.errors import MissingExtra, WorldError
from heliograph.seeds import short_seed

if TYPE_CHECKING:
    from heliograph.environments.parallel_view import ParallelView

_LIMIT_NAMES = ("max_cycles", "episode_limit", "max_steps", "max_episode_steps", "_max_episode_steps", "horizon")
_WON_NAMES = ("won", "is_success")


def as_parallel(environment: VectorEnvironment) -> ParallelView:
    """Show copy 0 of an environment as a PettingZoo ParallelEnv; see ParallelView.  Raises MissingExtra."""
    try:
        from heliograph.environments.parallel_view import ParallelView
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"a PettingZoo view needs {error.name!r}, which is not installed",
            remedy="Install it with: pip install 'heliograph[mpe]'",
        ) from None
    return ParallelView(environment)


class ParallelVector(VectorEnvironment):
    """`count` copies of any PettingZoo parallel environment whose agents all have discrete actions, or all vectors.

    Sizes are found by asking the first copy.  Where agents differ in size, observations are padded with zeros to the
    longest and followed by the agent's one-hot identity [N], and surplus actions, or dimensions of one, are illegal.
    Read from `infos` where
    the environment offers them from its reset on:
    - infos[agent]["action_mask"] (or in a Dict observation beside "observation"): the legal actions;
    - infos[agent]["hears"]: agents, by name or slot, whom it can hear; without it everyone hears everyone;
    - infos[agent]["won"] or ["is_success"]: outcome "won", 1 if true for all at the end; without it the outcome is
      "return", the mean over agents of the summed reward.
    An agent that leaves before the episode is over stays as an absorbing slot: not present, observation and reward
    zero, any of its actions legal and ignored, `terminated` still true if it was, and the graph goes on as it was.
    """

    def __init__(
        self,
        factory: Callable[[], Any],
        *,
        count: int,
        id: str = "parallel",
        parameters: Mapping[str, Any] | None = None,
        step_limit: int | None = None,
        action_bits: int = DEFAULT_BITS,
    ) -> None:
        """Call `factory` once per copy.

        `id` and `parameters` go into the spec; `step_limit` ends episodes that the environment itself would not end;
        `action_bits` is how many a message spends on each dimension of a continuous action, 2 to 16.
        Raises WorldError if sizes, the episode limit or the first observations make no sense.
        """
        if count < 1:
            raise WorldError(f"an environment needs at least one copy, not {count}")
        self.count = count
        self._name = f"adapter of {id!r}"
        self._copies = [factory() for _ in range(count)]
        first = self._copies[0]
        self._names: list[Any] = list(self._ask("possible_agents", lambda: first.possible_agents))
        self._slots = {name: slot for slot, name in enumerate(self._names)}
        self._spaces = AgentSpaces(first, self._names, adapter=self._name, action_bits=action_bits)
        observations, infos = self._ask("reset", lambda: first.reset(seed=0))
        offered = [infos.get(name) or {} for name in self._names]
        self._offers_hears = any("hears" in info for info in offered)
        self._won_name = next((key for key in _WON_NAMES if any(key in info for info in offered)), None)
        agents = len(self._names)
        self.spec = EnvironmentSpec(
            id=id,
            parameters=dict(parameters or {}),
            agents=agents,
            observation_size=self._spaces.observation_size,
            actions=self._spaces.actions,
            continuous=self._spaces.continuous,
            episode_limit=self._episode_limit(first, step_limit),
            complete_graph=not self._offers_hears,
            outcome="return" if self._won_name is None else "won",
            has_action_mask=self._spaces.masks_actions(observations, infos),
            state_size=self._state_size(first),
            renders=getattr(first, "render_mode", None) == "rgb_array",
        )
        self._observation = np.zeros((count, agents, self.spec.observation_size), dtype=np.float32)
        self._mask = np.ones((count, agents, self.spec.actions), dtype=bool)
        self._graph = np.broadcast_to(~np.eye(agents, dtype=bool), (count, agents, agents)).copy()
        self._present = np.zeros((count, agents), dtype=bool)
        self._terminated = np.zeros((count, agents), dtype=bool)
        self._return = np.zeros((count, agents), dtype=np.float64)
        self._elapsed = np.zeros(count, dtype=np.int64)
        self._running = np.zeros(count, dtype=bool)

    def reset(self, seeds: np.ndarray, copies: np.ndarray | None = None) -> Percepts:
        """See VectorEnvironment."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        for copy, seed in zip(chosen.tolist(), given.tolist(), strict=True):
            environment = self._copies[copy]
            short = short_seed(seed)
            observations, infos = self._ask("reset", lambda here=environment, seed=short: here.reset(seed=seed))
            self._terminated[copy] = False
            self._return[copy] = 0.0
            self._elapsed[copy] = 0
            self._running[copy] = True
            self._perceive(copy, set(environment.agents), observations, infos)
        return self._percepts()

    def step(self, actions: np.ndarray) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._running)
        legal = checked_actions(actions, mask=self._mask, continuous=bool(self.spec.continuous))
        reward = np.zeros((self.count, self.spec.agents), dtype=np.float32)
        truncated = np.zeros(self.count, dtype=bool)
        outcome = np.full(self.count, np.nan, dtype=np.float32)
        for copy in range(self.count):
            truncated[copy], outcome[copy] = self._step_copy(copy, legal[copy], reward[copy])
        return Transition(
            percepts=self._percepts(),
            reward=reward,
            terminated=self._terminated.copy(),
            truncated=truncated,
            over=~self._running,
            outcome=outcome,
            lost=np.zeros(self.count, dtype=bool),
        )

    def _step_copy(self, copy: int, actions: np.ndarray, reward: np.ndarray) -> tuple[bool, float]:
        """Step one copy, fill `reward` [N]; return whether it was cut by time, and its outcome or NaN."""
        environment = self._copies[copy]
        acting = [name for name in self._names if self._present[copy, self._slots[name]]]
        joint = {name: self._spaces.action(name, actions[self._slots[name]]) for name in acting}
        observations, rewards, terminated, truncated, infos = self._ask("step", lambda: environment.step(joint))
        self._elapsed[copy] += 1
        for name in acting:
            slot = self._slots[name]
            reward[slot] = self._finite_reward(name, rewards.get(name, 0.0))
            self._terminated[copy, slot] = bool(terminated.get(name, False))
        self._return[copy] += reward
        cut = {name for name in acting if truncated.get(name, False) and not terminated.get(name, False)}
        living = set(environment.agents) - {name for name in acting if terminated.get(name, False)} - cut
        if self._elapsed[copy] >= self.spec.episode_limit and living:
            cut |= living
            living = set()
        over = not living
        # Where time ran out the last state has a value and is shown; after a termination it has none.
        self._perceive(copy, cut if over else living, observations, infos)
        self._running[copy] = not over
        return over and bool(cut), self._outcome(copy, acting, infos) if over else np.nan

    def _perceive(self, copy: int, seeing: set[Any], observations: Mapping[Any, Any], infos: Mapping[Any, Any]) -> None:
        for slot, name in enumerate(self._names):
            self._present[copy, slot] = name in seeing
            self._observation[copy, slot] = 0.0
            self._mask[copy, slot] = self._spaces.any_action(name)
            if name not in seeing:
                continue
            if name not in observations:
                raise WorldError(f"{self._name}: field 'observation' of agent {name!r} is missing")
            info = infos.get(name) or {}
            self._observation[copy, slot] = self._spaces.observation(name, observations[name])
            self._mask[copy, slot] = self._spaces.mask(name, observations[name], info)
            if self._offers_hears:
                self._graph[copy, slot] = self._heard(name, info.get("hears", ()))

    def _heard(self, name: Any, heard: Any) -> np.ndarray:
        row = np.zeros(self.spec.agents, dtype=bool)
        for other in heard:
            slot = self._slots.get(other, other)
            if not isinstance(slot, int | np.integer) or not 0 <= slot < self.spec.agents:
                raise WorldError(f"{self._name}: field 'hears' of agent {name!r} names {other!r}, not of the team")
            row[slot] = True
        row[self._slots[name]] = False
        return row

    def _finite_reward(self, name: Any, reward: Any) -> float:
        value = float(reward)
        if not np.isfinite(value):
            raise WorldError(f"{self._name}: field 'reward' of agent {name!r} is {value}")
        return value

    def _outcome(self, copy: int, acting: list[Any], infos: Mapping[Any, Any]) -> float:
        if self._won_name is None:
            return float(self._return[copy].mean())
        return float(all(bool((infos.get(name) or {}).get(self._won_name, False)) for name in acting))

    def _percepts(self) -> Percepts:
        return Percepts(
            observation=self._observation.copy(),
            action_mask=self._mask.copy(),
            hears=self._graph.copy(),
            present=self._present.copy(),
        )

    def render(self, copy: int = 0) -> np.ndarray:
        """See VectorEnvironment.  The environment must have been made with render_mode="rgb_array"."""
        image = self._ask("render", self._copies[copy].render)
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
            raise WorldError(f"{self._name} drew no picture", remedy="Give it the parameter render_mode='rgb_array'")
        return image.astype(np.uint8)

    def state(self) -> np.ndarray | None:
        """See VectorEnvironment."""
        if not self.spec.state_size:
            return None
        states = [self._ask("state", environment.state) for environment in self._copies]
        return np.stack([np.asarray(state, dtype=np.float32).reshape(-1) for state in states])

    def close(self) -> None:
        """Close all copies."""
        for environment in self._copies:
            environment.close()

    @staticmethod
    def _state_size(environment: Any) -> int:
        try:
            return int(np.size(environment.state()))
        except (NotImplementedError, AttributeError):
            return 0

    def _episode_limit(self, environment: Any, step_limit: int | None) -> int:
        inner = getattr(getattr(environment, "aec_env", None), "unwrapped", None)
        places = (environment, getattr(environment, "unwrapped", None), inner)
        found = [getattr(place, name, None) for place in places for name in _LIMIT_NAMES]
        limits = [int(limit) for limit in (*found, step_limit) if isinstance(limit, int | np.integer) and limit > 0]
        if not limits:
            raise WorldError(f"{self._name}: no episode limit found", remedy="Give one with the parameter step_limit")
        return min(limits)

    def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # foreign code may raise anything, and the caller must learn whose fault it is
            raise WorldError(f"{self._name}: {what} raised {type(error).__name__}: {error}") from error
