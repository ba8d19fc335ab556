"""PettingZoo's parallel interface, both ways: `as_parallel` shows our environments, `ParallelVector` takes others in.

Axis legend: E copies, N agents of a team (in the order of `possible_agents`), D observation size, A actions,
or numbers of a continuous one.
For `heliograph.environments` and users of the library; PettingZoo itself loads only in `as_parallel`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heliograph.actions import DEFAULT_BITS
from heliograph.environments.contract import (
    WON_NAMES,
    ParallelContract,
    ask,
    checked_team,
    found_limit,
    neighbour_key,
    state_numbers,
)
from heliograph.environments.spaces import AgentSpaces
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
from heliograph.extras import extra
from heliograph.seeds import short_seed

if TYPE_CHECKING:
    from heliograph.environments.parallel_view import ParallelView

logger = logging.getLogger(__name__)


def as_parallel(environment: VectorEnvironment) -> ParallelView:
    """Show copy 0 of an environment as a PettingZoo ParallelEnv; see ParallelView.  Raises MissingExtra."""
    with extra("mpe", packages={"gymnasium", "pettingzoo"}, purpose="a PettingZoo view"):
        from heliograph.environments.parallel_view import ParallelView
    return ParallelView(environment)


class ParallelVector(VectorEnvironment):
    """`count` copies of any PettingZoo parallel environment whose agents have numbered actions or vectors.

    Sizes are found by asking the first copy.  Where agents differ in size, observations are padded with zeros to the
    longest and followed by the agent's one-hot identity [N], and surplus actions, or dimensions of one, are illegal.
    Combinations of MultiDiscrete and Tuple actions are numbered, see `factors`; the environment gets its own form back.
    What the environment returns is held against `contract.ParallelContract` and its own spaces at every step.
    Read from `infos` where the first reset offers them, which every later reset and step must do then:
    - infos[agent]["action_mask"] (or in a Dict observation beside "observation"): the legal actions, of
      several factors jointly or one mask for each;
    - infos[agent]["neighbours"], or by its older name ["hears"]: agents, by name or slot, whose messages it receives;
      without it it receives everyone's;
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
        self._copies = [self._ask("construction", factory) for _ in range(count)]
        first = self._copies[0]
        self._names = self._ask("possible_agents", lambda: checked_team(first, adapter=self._name))
        self._contract = ParallelContract(self._names, adapter=self._name)
        self._slots = {name: slot for slot, name in enumerate(self._names)}
        self._spaces = self._ask(
            "its spaces", lambda: AgentSpaces(first, self._names, adapter=self._name, action_bits=action_bits)
        )
        observations, infos = self._contract.reset_answer(self._ask("reset", lambda: first.reset(seed=0)))
        offered = [self._contract.info(infos, name) for name in self._names]
        self._neighbour_key = neighbour_key(offered)
        self._won_name = next((key for key in WON_NAMES if any(key in info for info in offered)), None)
        agents = len(self._names)
        self._spec = EnvironmentSpec(
            id=id,
            parameters=dict(parameters or {}),
            agents=agents,
            observation_size=self._spaces.observation_size,
            image=self._spaces.image,
            actions=self._spaces.actions,
            continuous=self._spaces.continuous,
            mixed=self._spaces.mixed,
            factors=self._spaces.factor_sizes,
            episode_limit=self._ask("its attributes", lambda: found_limit(first, step_limit, adapter=self._name)),
            complete_graph=self._neighbour_key is None,
            outcome="return" if self._won_name is None else "won",
            has_action_mask=self._spaces.masks_actions(observations, infos),
            state_size=self._ask("state", lambda: self._state_size(first)),
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

    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """See VectorEnvironment."""
        chosen, given = checked_seeds(seeds, copies, count=self.count)
        for copy, seed in zip(chosen.tolist(), given.tolist(), strict=True):
            environment = self._copies[copy]
            observations, infos = self._contract.reset_answer(self._reset_copy(copy, short_seed(seed)))
            self._terminated[copy] = False
            self._return[copy] = 0.0
            self._elapsed[copy] = 0
            self._running[copy] = True
            self._perceive(copy, self._contract.alive(environment, begun=True), observations, infos)
        return self._agent_inputs()

    def _reset_copy(self, copy: int, seed: int) -> Any:
        return self._ask("reset", lambda: self._copies[copy].reset(seed=seed))

    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """See VectorEnvironment.  Also raises WorldError if a copy has no running episode."""
        check_running(self._running)
        legal = checked_actions(actions, mask=self._mask, rows=self.spec.rows)
        reward = np.zeros((self.count, self.spec.agents), dtype=np.float32)
        truncated = np.zeros(self.count, dtype=bool)
        outcome = np.full(self.count, np.nan, dtype=np.float32)
        for copy in range(self.count):
            truncated[copy], outcome[copy] = self._step_copy(copy, legal[copy], reward[copy])
        return Transition(
            agent_inputs=self._agent_inputs(),
            reward=reward,
            terminated=self._terminated.copy(),
            truncated=truncated,
            over=~self._running,
            outcome=outcome,
            lost=np.zeros(self.count, dtype=bool),
        )

    def _step_copy(self, copy: int, actions: npt.NDArray[Any], reward: npt.NDArray[np.float32]) -> tuple[bool, float]:
        """Step one copy, fill `reward` [N]; return whether it was cut by time, and its outcome or NaN."""
        environment = self._copies[copy]
        acting = [name for name in self._names if self._present[copy, self._slots[name]]]
        joint = {name: self._spaces.action(name, actions[self._slots[name]]) for name in acting}
        observations, rewards, terminations, truncations, infos = self._contract.step_answer(
            self._ask("step", lambda: environment.step(joint))
        )
        self._elapsed[copy] += 1
        for name, value in self._contract.rewards(rewards, acting).items():
            reward[self._slots[name]] = value
        gone, cut = self._contract.ends(terminations, truncations, acting)
        for name in acting:
            self._terminated[copy, self._slots[name]] = name in gone
        self._return[copy] += reward
        alive = self._contract.alive(environment)
        self._contract.returning(alive, acting=acting, gone=self._terminated[copy])
        self._contract.leaving(alive, acting=acting, ended=gone | cut)
        living = alive - gone - cut
        if self._elapsed[copy] >= self.spec.episode_limit and living:
            cut |= living
            living = set()
        over = not living
        # Where time ran out the last state has a value and is shown; after a termination it has none.
        self._perceive(copy, cut if over else living, observations, infos, last=over)
        self._running[copy] = not over
        return over and bool(cut), self._outcome(copy, acting, infos) if over else np.nan

    def _perceive(
        self,
        copy: int,
        seeing: set[Any],
        observations: Mapping[Any, Any],
        infos: Mapping[Any, Any],
        *,
        last: bool = False,
    ) -> None:
        """Take in what the agents in `seeing` see.  In the last state nobody acts, so nobody need be told how."""
        self._contract.known("observations", observations)
        self._contract.known("infos", infos)
        for slot, name in enumerate(self._names):
            self._present[copy, slot] = name in seeing
            self._observation[copy, slot] = 0.0
            self._mask[copy, slot] = self._spaces.any_action(name)
            if name not in seeing:
                continue
            info = self._contract.info(infos, name)
            self._observation[copy, slot] = self._spaces.observation(name, observations)
            self._mask[copy, slot] = self._spaces.mask(name, observations[name], info, last=last)
            if last and neighbour_key([info]) is None:
                continue
            neighbours = self._contract.neighbours(name, info, key=self._neighbour_key)
            if neighbours is not None:
                self._graph[copy, slot] = neighbours

    def _outcome(self, copy: int, acting: list[Any], infos: Mapping[Any, Any]) -> float:
        if self._won_name is None:
            return float(self._return[copy].mean())
        return float(self._contract.won(self._won_name, infos, acting))

    def _agent_inputs(self) -> AgentInputs:
        return AgentInputs(
            observation=self._observation.copy(),
            action_mask=self._mask.copy(),
            hears=self._graph.copy(),
            present=self._present.copy(),
        )

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """See VectorEnvironment.  The environment must have been made with render_mode="rgb_array"."""
        image = self._ask("render", self._copies[copy].render)
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
            raise WorldError(f"{self._name} drew no picture", remedy="Give it the parameter render_mode='rgb_array'")
        return image.astype(np.uint8)

    def state(self) -> npt.NDArray[np.float32] | None:
        """See VectorEnvironment."""
        if not self.spec.state_size:
            return None
        states = [self._ask("state", environment.state) for environment in self._copies]
        expected = self.spec.state_size
        return np.stack([state_numbers(state, expected=expected, adapter=self._name) for state in states])

    def close(self) -> None:
        """Close all copies.  What one raises then is logged, for it can cost nobody anything any more."""
        for environment in self._copies:
            try:
                self._ask("close", environment.close)
            except WorldError as error:
                logger.warning("environment not closed cause=%r", str(error))

    def _state_size(self, environment: Any) -> int:
        if not callable(getattr(environment, "state", None)):
            return 0
        try:
            state = environment.state()
        except NotImplementedError:
            return 0
        return 0 if state is None else state_numbers(state, expected=None, adapter=self._name).size

    def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        return ask(self._name, what, call)
