"""What every environment looks like inside the project: several copies of one team, as numpy arrays.

Axis legend: E copies, N agents of a team, D observation size, A actions, k dimensions of a continuous one.

The trainer steps many copies, the coordinator one.  `heliograph.environments.parallel` turns any of these into a
PettingZoo parallel environment and back.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.action_rows import ActionRows
from heliograph.actions import ActionSpace, ContinuousActions, DiscreteActions
from heliograph.errors import WorldError


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """Dimensions, limits and capabilities of an environment with its parameters filled in."""

    id: str
    """Name in the registry, or import path `package.module:factory`."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """All parameters, defaults included; with `id` they make the same environment again."""
    agents: int
    observation_size: int
    image: tuple[int, int, int] | None = None
    """Height, width and channels of the image that an observation begins with, row by row, channels last, scaled to
    0..1; None where it is a vector.  The trainer builds its networks by it; whoever runs a team sees D numbers."""
    actions: int
    """A, entries of an action mask: the number of actions, or of a continuous action's dimensions; of a mixed team that
    of both, see `heliograph.action_rows`."""
    continuous: tuple[ContinuousActions, ...] = ()
    """What each agent's action is, all of A dimensions and with as many bits, where all are continuous; else empty."""
    mixed: tuple[ActionSpace, ...] = ()
    """What each agent can do where some have numbered actions and others vectors; empty where all act alike."""
    factors: tuple[tuple[int, ...], ...] = ()
    """For each agent the choices of each factor of its action, whose combinations the actions number, row-major, and
    none for an agent whose action is a vector; empty where no agent's action has factors."""
    episode_limit: int
    """Steps after which an episode is truncated at the latest."""
    complete_graph: bool
    """Everyone hears everyone at every step."""
    outcome: str
    """What `Transition.outcome` measures: "won" (0 or 1), "arrived" (share), "return" (mean over agents)."""
    blind_bound: float | None = None
    """Best expected outcome of a team that cannot hear one another, where it is known."""
    blind_bound_measured: bool = False
    """It is that of the best rule found by which agents act without hearing one another, measured over episodes, and
    not exact: another rule may reach more."""
    idle_action: int = 0
    """Taken for an agent whose node does not answer; replaced by the first legal action where it is illegal.
    Continuous actions are then all zeros instead, the middle between the bounds."""
    has_action_mask: bool = False
    """Some actions are illegal at times, or some agents lack dimensions; otherwise every mask is all true."""
    state_size: int = 0
    """Numbers S of the simulator's global state, which only the trainer may read; 0 where there is none."""
    renders: bool = False
    """Copies can be drawn."""
    cannot_draw: str = ""
    """Why not, where it is this machine that lacks something."""
    has_distances: bool = False
    """It can be told how far apart the agents are, see `VectorEnvironment.distances`."""
    observation_names: tuple[str, ...] = ()
    """What each of the D entries of an observation is, for people; empty where they have no names.  Entries such as
    "cue = 0", "cue = 1" that share what is before the " = " are one feature, one-hot."""
    state_names: tuple[str, ...] = ()
    """Likewise for the S entries of the global state."""

    def __post_init__(self) -> None:
        for name, size in (("observation_names", self.observation_size), ("state_names", self.state_size)):
            names = getattr(self, name)
            if names and len(names) != size:
                raise ValueError(f"{name} are {len(names)}, but there are {size} entries")
        if self.image is not None and math.prod(self.image) > self.observation_size:
            raise ValueError(f"an image of {self.image} has more numbers than the {self.observation_size} observed")
        if self.continuous and {(space.size, space.bits) for space in self.continuous} != {
            (self.actions, self.continuous[0].bits)
        }:
            raise ValueError(f"continuous actions must all have {self.actions} dimensions and the same number of bits")
        if self.mixed and (self.continuous or not self.rows.mixed or self.rows.mask_size != self.actions):
            raise ValueError(
                f"the actions of a mixed team are of both kinds, and their masks have {self.actions} entries"
            )

    @cached_property
    def rows(self) -> ActionRows:
        """How the actions of the team stand in one array."""
        return ActionRows(self.mixed or self.continuous or (DiscreteActions(count=self.actions),) * self.agents)

    def action_space(self, slot: int) -> ActionSpace:
        """What the agent of a slot can do."""
        return self.rows.spaces[slot]

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Of one agent's row: () for a number, (A,) for a vector, (1 + k,) in a mixed team."""
        return self.rows.shape


@dataclass(frozen=True, kw_only=True)
class AgentInputs:
    """What the agents of all copies perceive at one step."""

    observation: npt.NDArray[np.float32]
    """float32 [E, N, D]."""
    action_mask: npt.NDArray[np.bool_]
    """bool [E, N, A], true where the action is legal; at least one per agent."""
    hears: npt.NDArray[np.bool_]
    """bool [E, N, N]: [e, i, j] says that i can hear j, for the messages of the step before.  False on the diagonal."""
    present: npt.NDArray[np.bool_]
    """bool [E, N]: false where an agent's part of the episode is over and its observation is a zero placeholder."""


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What one joint action led to."""

    agent_inputs: AgentInputs
    """After the action; of the last state where `over`."""
    reward: npt.NDArray[np.float32]
    """float32 [E, N]."""
    terminated: npt.NDArray[np.bool_]
    """bool [E, N]: the agent has no future (its return ends here), as opposed to a time limit."""
    truncated: npt.NDArray[np.bool_]
    """bool [E]: the episode was cut by its time limit."""
    over: npt.NDArray[np.bool_]
    """bool [E]: the episode has ended, either way; the copy must be reset before its next step."""
    outcome: npt.NDArray[np.float32]
    """float32 [E]: the team's result, see `EnvironmentSpec.outcome`; NaN where the episode goes on, or is lost."""
    lost: npt.NDArray[np.bool_]
    """bool [E]: the simulator died; the copy is `over`, and its episode must not count."""


LOST_EPISODE_REPEATS = 3
"""How often an evaluation plays an episode again that was lost with its simulator, before it gives up."""


MOST_STEPS = 10_000
"""Steps after which an evaluation cuts an episode that its environment has not ended, unless told otherwise."""


def cut_outcome(spec: EnvironmentSpec, team_return: float) -> float:
    """What an episode counts that an evaluation has cut: its return so far, or not won.

    Raises WorldError where the outcome is something else, which only the environment could tell.
    """
    if spec.outcome == "return":
        return team_return
    if spec.outcome == "won":
        return 0.0
    raise WorldError(
        f"an episode of {spec.id!r} was cut, and what it had come to ({spec.outcome}) is not known",
        remedy="Let evaluations run for longer: --set evaluation.most_steps=N, or --most-steps N",
    )


class VectorEnvironment(ABC):
    """`count` independent copies of one environment.

    A copy that was reset with a seed repeats the same episode under the same actions, whatever it played before.
    """

    count: int
    _spec: EnvironmentSpec

    @property
    def spec(self) -> EnvironmentSpec:
        """Its dimensions, which never change."""
        return self._spec

    @abstractmethod
    def reset(self, seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None = None) -> AgentInputs:
        """Start new episodes in `copies` (indices; None: all), one int64 seed each.

        Returns the agent inputs of all copies.  Raises WorldError for a negative seed or a copy that does not exist.
        """

    @abstractmethod
    def step(self, actions: npt.NDArray[Any]) -> Transition:
        """Apply int actions [E, N], or continuous ones float [E, N, k] in [-1, 1], which are scaled to their bounds;
        those of a mixed team are float [E, N, 1 + k].

        Raises WorldError if one is out of range or illegal; dimensions that an agent lacks do not matter.
        """

    def render(self, copy: int = 0) -> npt.NDArray[np.uint8]:
        """Draw a copy as uint8 [height, width, 3].  Raises WorldError where the environment cannot draw."""
        raise WorldError(f"environment {self.spec.id!r} cannot be rendered")

    def state(self) -> npt.NDArray[np.float32] | None:
        """Global state float32 [E, S] of the simulator, for the trainer only; None where there is none."""
        return None

    def distances(self) -> npt.NDArray[np.float32] | None:
        """float32 [E, N, N]: how far apart two agents are now, in the environment's unit of length; None where
        `EnvironmentSpec.has_distances` is false.  For experiments with channels; no agent is ever told."""
        return None

    @property
    def variable(self) -> Mapping[str, float]:
        """Parameters that may be another in every episode, each with its own value; see `vary`."""
        return {}

    def vary(self, name: str, values: npt.NDArray[np.float64], copies: npt.NDArray[np.int64]) -> None:
        """Let the episodes that begin in `copies` (indices) from now on have these values, float [R], of one of
        `variable`.

        An episode follows from its seed and this.  Raises WorldError for another parameter, and for a value that it
        cannot have.
        """
        raise WorldError(f"environment {self.spec.id!r} has no parameter {name!r} that varies from episode to episode")

    def close(self) -> None:
        """Free what the simulators hold; nothing where there is nothing to free."""
        return


def checked_seeds(
    seeds: npt.NDArray[np.int64], copies: npt.NDArray[np.int64] | None, *, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the copies to reset and their seeds, both int64 [R].  Raises WorldError as `VectorEnvironment.reset`."""
    chosen = np.arange(count) if copies is None else np.asarray(copies, dtype=np.int64).reshape(-1)
    given = np.asarray(seeds).reshape(-1)
    if given.shape != chosen.shape:
        raise WorldError(f"{given.size} seeds for {chosen.size} copies to reset")
    if chosen.size and not 0 <= int(chosen.min()) <= int(chosen.max()) < count:
        raise WorldError(f"cannot reset copies {chosen.tolist()}: there are {count}")
    if given.size and int(given.min()) < 0:
        raise WorldError(f"seed {int(given.min())} is negative")
    return chosen, given.astype(np.int64)


def check_running(running: npt.NDArray[np.bool_]) -> None:
    """Raise WorldError unless an episode runs in every copy, bool [E]."""
    if not running.all():
        copy = int(np.argmin(running))
        raise WorldError(f"copy {copy} has no running episode", remedy="Reset it before its next step")


def checked_actions(
    actions: npt.NDArray[Any], *, mask: npt.NDArray[np.bool_], rows: ActionRows | None = None
) -> npt.NDArray[Any]:
    """Return actions as an integer array [E, N], or float32 [E, N, ...] where `rows` are not of numbers alone.

    Raises WorldError for a wrong shape, range or an illegal action, or a number that is not finite.
    """
    if rows is not None and rows.mixed:
        return _checked_rows(np.asarray(actions), mask=mask, choices=rows.choices)
    if rows is not None and rows.size:
        return _checked_vectors(np.asarray(actions), mask=mask)
    given = np.asarray(actions)
    if given.shape != mask.shape[:2] or not np.issubdtype(given.dtype, np.integer):
        raise WorldError(f"actions must be integers {mask.shape[:2]}, not {given.dtype} {given.shape}")
    if int(given.min()) < 0 or int(given.max()) >= mask.shape[2]:
        raise WorldError(f"action outside 0..{mask.shape[2] - 1}: {int(given.min())}..{int(given.max())}")
    legal = np.take_along_axis(mask, given[..., None], axis=2)[..., 0]
    if not legal.all():
        copy, agent = (int(index) for index in np.argwhere(~legal)[0])
        raise WorldError(f"action {int(given[copy, agent])} of agent {agent} in copy {copy} is illegal there")
    return given


def _checked_rows(given: npt.NDArray[Any], *, mask: npt.NDArray[np.bool_], choices: int) -> npt.NDArray[np.float32]:
    """Of a mixed team, float32 [E, N, 1 + k]."""
    expected = (*mask.shape[:2], 1 + mask.shape[2] - choices)
    if given.shape != expected or not np.issubdtype(given.dtype, np.floating):
        raise WorldError(f"actions must be real numbers {expected}, not {given.dtype} {given.shape}")
    chosen = given[..., 0]
    broken = ~np.isfinite(chosen) | (chosen != np.rint(chosen))
    if broken.any():
        copy, agent = (int(index) for index in np.argwhere(broken)[0])
        raise WorldError(f"choice of agent {agent} in copy {copy} is {chosen[copy, agent]}, which is no whole number")
    checked_actions(np.clip(chosen, -1, choices).astype(np.int64), mask=mask[..., :choices])
    _checked_vectors(given[..., 1:], mask=mask[..., choices:])
    return given.astype(np.float32)


def _checked_vectors(given: npt.NDArray[Any], *, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    if given.shape != mask.shape or not np.issubdtype(given.dtype, np.floating):
        raise WorldError(f"actions must be real numbers {mask.shape}, not {given.dtype} {given.shape}")
    within = np.abs(given) <= 1  # false of NaN as well
    if not within.all():
        copy, agent, dimension = (int(index) for index in np.argwhere(~within)[0])
        raise WorldError(
            f"action of agent {agent} in copy {copy} is {given[copy, agent, dimension]} in dimension {dimension}, "
            "outside -1..1"
        )
    return given.astype(np.float32)


def checked_agent_inputs(
    agent_inputs: AgentInputs, *, of: VectorEnvironment, lost: npt.NDArray[np.bool_] | None = None
) -> AgentInputs:
    """Return the agent inputs `of` an environment.

    Raises WorldError, with adapter and field, for a wrong shape and for an observation that is not finite; of the
    copies in `lost`, bool [E], only the shapes count.
    """
    spec = of.spec
    agents = (of.count, spec.agents)
    _check_shape("observation", agent_inputs.observation, (*agents, spec.observation_size), spec)
    _check_shape("action_mask", agent_inputs.action_mask, (*agents, spec.actions), spec)
    _check_shape("hears", agent_inputs.hears, (*agents, spec.agents), spec)
    _check_shape("present", agent_inputs.present, agents, spec)
    _check_finite("observation", agent_inputs.observation, spec, lost)
    return agent_inputs


def checked_state(*, of: VectorEnvironment, lost: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.float32]:
    """Return the global state `of` an environment that says it has one.  Raises WorldError for a wrong one."""
    state = of.state()
    if state is None:
        raise WorldError(f"adapter of {of.spec.id!r}: no state, though {of.spec.state_size} numbers were announced")
    _check_shape("state", state, (of.count, of.spec.state_size), of.spec)
    broken = ~np.isfinite(state).all(-1)
    if lost is not None:
        broken &= ~lost
    if broken.any():
        raise WorldError(f"adapter of {of.spec.id!r}: field 'state' in copy {int(np.argmax(broken))} is not finite")
    return state


def checked_transition(transition: Transition, *, of: VectorEnvironment) -> Transition:
    """Return a transition `of` an environment.  Raises WorldError as `checked_agent_inputs`, and for its rewards."""
    _check_shape("reward", transition.reward, (of.count, of.spec.agents), of.spec)
    _check_finite("reward", transition.reward, of.spec, transition.lost)
    checked_agent_inputs(transition.agent_inputs, of=of, lost=transition.lost)
    return transition


def _check_shape(name: str, values: npt.NDArray[Any], shape: tuple[int, ...], spec: EnvironmentSpec) -> None:
    if values.shape != shape:
        raise WorldError(f"adapter of {spec.id!r}: field {name!r} has shape {values.shape}, not {shape}")


def _check_finite(
    name: str, values: npt.NDArray[np.float32], spec: EnvironmentSpec, lost: npt.NDArray[np.bool_] | None
) -> None:
    if np.isfinite(values).all():
        return
    broken = ~np.isfinite(values.reshape(*values.shape[:2], -1)).all(-1)  # [E, N]
    if lost is not None:
        broken &= ~lost[:, None]
    if broken.any():
        copy, agent = (int(index) for index in np.argwhere(broken)[0])
        raise WorldError(f"adapter of {spec.id!r}: field {name!r} of agent {agent} in copy {copy} is not finite")
