"""One copy of an environment, seen agent by agent.  Shared by the team of processes and the team in one process.

Axis legend: N agents, D observation size, A actions, k dimensions of a continuous one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from coordinator.channel import Channel
from coordinator.channel.medium import Medium
from heliograph.actions import Action, ContinuousActions
from heliograph.codecs import Codec
from heliograph.environments.vector import (
    MOST_STEPS,
    AgentInputs,
    EnvironmentSpec,
    VectorEnvironment,
    checked_agent_inputs,
    checked_transition,
    cut_outcome,
)
from heliograph.errors import WorldError

NOT_REPORTED: Mapping[int, npt.NDArray[np.int32]] = {}


class EpisodeLost(Exception):
    """The simulator died during an episode, which must not count; the world can be reset."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What one agent perceives at one step."""

    slot: int
    observation: npt.NDArray[np.float32]
    """float32 [D]."""
    action_mask: npt.NDArray[np.bool_]
    """bool [A], true where the action is legal; of the agent's own actions, in a mixed team as well."""
    receives_from: tuple[int, ...]
    """The slots whose messages of the step before it may read, ascending."""
    sends_to: tuple[int, ...]
    """The slots that can hear it, ascending."""
    lost: tuple[int, ...] = ()
    """The slots whose message of the step before the simulated channel lost on its way here, ascending."""
    late: Mapping[int, int] = field(default_factory=dict)
    """The slots, ascending, whose message of the step before it delayed, and by how many steps, 1 or more."""


@dataclass(frozen=True, kw_only=True)
class Advance:
    """What a joint action led to."""

    views: tuple[View | None, ...]
    """One per slot; None where the agent's part of the episode is over."""
    reward: npt.NDArray[np.float32]
    """float32 [N]."""
    over: bool
    outcome: float
    """NaN while the episode goes on."""


class World:
    """The first copy of `environment`, whose episodes are played one after another.

    With `links_cut` nobody ever hears anybody; everything else stays the same.  `channel` is what happens to messages,
    whose latents are written by `codec` in at most `longest_bits`.  An episode that goes on for `most_steps` is cut,
    see `cut_outcome`.  Raises SettingsError if the channel asks for what team or environment have not.
    """

    def __init__(
        self,
        environment: VectorEnvironment,
        *,
        links_cut: bool = False,
        channel: Channel | None = None,
        codec: Codec | None = None,
        longest_bits: int = 0,
        most_steps: int = MOST_STEPS,
    ) -> None:
        if environment.count != 1:
            raise WorldError(f"a world is one copy of its environment, not {environment.count}")
        self.spec: EnvironmentSpec = environment.spec
        self.links_cut = links_cut
        self.channel, self.codec, self.longest_bits = channel, codec, longest_bits
        if channel is not None:
            channel.check_world(self.spec)
        self.most_steps = most_steps
        self.cut = False
        """The newest episode was cut."""
        self._made, self._return = 0, 0.0
        self._medium: Medium | None = None
        self.environment = environment
        self._actions = self.spec.rows.spaces
        self._present = np.ones(self.spec.agents, dtype=bool)
        self._views: tuple[View | None, ...] = ()

    @property
    def views(self) -> tuple[View | None, ...]:
        """The newest views, one per slot."""
        return self._views

    def reset(self, seed: int) -> tuple[View | None, ...]:
        """Start an episode; returns one view per slot."""
        agent_inputs = checked_agent_inputs(
            self.environment.reset(np.array([seed], dtype=np.int64)), of=self.environment
        )
        self._present = agent_inputs.present[0]
        self.cut, self._made, self._return = False, 0, 0.0
        if self.channel is not None:
            self._medium = Medium(
                self.channel, seed=seed, agents=self.spec.agents, codec=self.codec, longest_bits=self.longest_bits
            )
        return self._look(agent_inputs)

    def advance(
        self, actions: Sequence[Action], latents: Mapping[int, npt.NDArray[np.int32]] = NOT_REPORTED
    ) -> Advance:
        """Apply one action per slot, float32 [k] of continuous ones.  `latents` int32 [K] by slot are what is
        said at this step; a channel with a limited rate takes those that are not told for the longest.

        Raises EpisodeLost if the simulator died, WorldError for an illegal action or a result that breaks the contract.
        """
        if self._medium is not None:
            self._medium.sizes.note(latents)
        joint = self.spec.rows.joint(actions)
        transition = checked_transition(self.environment.step(joint[None]), of=self.environment)
        if transition.lost[0]:
            raise EpisodeLost(f"the simulator of environment {self.spec.id!r} died during an episode")
        self._made += 1
        self._return += float(transition.reward[0].mean())
        self.cut = not transition.over[0] and self._made >= self.most_steps
        return Advance(
            views=self._look(transition.agent_inputs),
            reward=np.array(transition.reward[0], dtype=np.float32),
            over=self.cut or bool(transition.over[0]),
            outcome=cut_outcome(self.spec, self._return) if self.cut else float(transition.outcome[0]),
        )

    def state(self) -> npt.NDArray[np.float32] | None:
        """The simulator's global state now, float32 [S], for recordings alone; None where there is none."""
        state = self.environment.state()
        return None if state is None else np.array(state[0], dtype=np.float32)

    def is_legal(self, slot: int, action: Action) -> bool:
        view = self._views[slot]
        return view is not None and self._actions[slot].is_legal(action, view.action_mask)

    def idle_action(self, slot: int) -> Action:
        """What the world does for an agent that does not act: the idle action, or the first legal one; of continuous
        ones zeros."""
        view = self._views[slot]
        if isinstance(actions := self._actions[slot], ContinuousActions):
            return np.zeros(actions.shape, dtype=np.float32)
        if view is None or view.action_mask[self.spec.idle_action]:
            return self.spec.idle_action
        return int(np.argmax(view.action_mask))

    def _look(self, agent_inputs: AgentInputs) -> tuple[View | None, ...]:
        present = agent_inputs.present[0].copy()
        # Whoever was not part of the step before has no message of it, so nobody should wait for one.
        receives_from = agent_inputs.hears[0] & present[:, None] & self._present[None, :]
        if self.links_cut:
            receives_from = np.zeros_like(receives_from)
        verdict = None
        if self._medium is not None:
            distances = self.environment.distances()
            receives_from, verdict = self._medium.carry(receives_from, None if distances is None else distances[0])
        self._present = present
        # Copies, because an environment may write its next step into the same arrays.
        self._views = tuple(
            View(
                slot=slot,
                observation=np.array(agent_inputs.observation[0, slot], dtype=np.float32),
                action_mask=np.array(agent_inputs.action_mask[0, slot, self.spec.rows.own(slot)], dtype=bool),
                receives_from=_indices(receives_from[slot]),
                sends_to=_indices(receives_from[:, slot]),
                lost=() if verdict is None else verdict.lost_by(slot),
                late={} if verdict is None else verdict.late_at(slot),
            )
            if present[slot]
            else None
            for slot in range(self.spec.agents)
        )
        return self._views


def _indices(row: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.flatnonzero(row))
