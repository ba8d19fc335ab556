"""What happened: one record per step and one per episode, the same for processes and for one process.

Axis legend: N agents, D observation size, A actions, k dimensions of a continuous one, K categoricals.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coordinator.world.world import View, World
from heliograph.actions import Action


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """Everything the coordinator knows of one step: what was perceived, said, done and earned."""

    episode: int
    step: int
    present: npt.NDArray[np.bool_]
    """bool [N]: agents whose part of the episode was not over."""
    observation: npt.NDArray[np.float32]
    """float32 [N, D]; zeros where not present."""
    action_mask: npt.NDArray[np.bool_]
    """bool [N, A]; all that the agent can ever do where not present."""
    hears: npt.NDArray[np.bool_]
    """bool [N, N]: [i, j] says that i could hear j."""
    masked: npt.NDArray[np.bool_]
    """bool [N, N]: [i, j] says that i should have heard j and did not."""
    lost: npt.NDArray[np.bool_]
    """bool [N, N]: [i, j] says that the simulated channel lost what j said to i at the step before."""
    delay: npt.NDArray[np.int64]
    """int64 [N, N]: by how many steps it delayed that; 0 where it did not."""
    acted: npt.NDArray[np.bool_]
    """bool [N]: false where the world took the idle action for the agent."""
    action: npt.NDArray[np.int64 | np.float32]
    """As applied: int64 [N], or float32 [N, k] between -1 and 1; of a mixed team float32 [N, 1 + k]."""
    reward: npt.NDArray[np.float32]
    """float32 [N]."""
    latent: npt.NDArray[np.int32] | None
    """int32 [N, K], -1 where none was reported; None if latents are not reported at all."""
    state: npt.NDArray[np.float32] | None
    """float32 [S], the simulator's global state before the actions, where it has one; no agent is ever told of it."""
    asked_ns: int
    """Unix time right before the agent inputs were sent."""
    latency_s: float
    """From sending the agent inputs until the last awaited action was there."""
    waited_s: npt.NDArray[np.float64]
    """float64 [N]: how long each agent waited for its messages; NaN where nobody waited."""


Observer = Callable[[StepRecord], None]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an agent answered to an agent input."""

    action: Action
    latent: npt.NDArray[np.int32] | None = None
    """int32 [K], if latents are reported."""
    masked: tuple[int, ...] = ()
    waited_s: float | None = None
    """From the agent input's arrival until the inbox was closed; None where nobody waits."""
    computed_s: float = 0.0
    """In the bundle's step function."""


def latents_of(replies: Mapping[int, Reply]) -> dict[int, npt.NDArray[np.int32]]:
    """What the agents said, as far as it was reported, int32 [K] by slot."""
    return {slot: reply.latent for slot, reply in replies.items() if reply.latent is not None}


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """One finished episode in numbers."""

    episode: int
    seed: int
    steps: int
    outcome: float
    team_return: float
    """Sum of rewards, mean over agents."""
    latency_s: array[float]
    """Per step: from sending the agent inputs until the last awaited action was there.  Doubles, as in the next two,
    because they are kept for all episodes of a run."""
    waited_s: array[float]
    computed_s: array[float]
    hearable: int
    """Pairs (agent, step, heard peer) after the first step: how many messages should have been read."""
    masked: int
    """How many of those were not there in time."""
    idle: int
    """Actions that the world took because an agent did not answer."""
    illegal: int
    """Actions that the world replaced because the agent's was not legal."""
    cut: bool = False
    """The environment had not ended it after the most steps; it counts for what it was then."""
    absent: tuple[int, ...] | None = ()
    """Slots that were to act and did at no step, ascending; None: not known."""


class Tally:
    """Adds up the steps of one episode and passes each on to an observer."""

    def __init__(self, *, episode: int, seed: int, world: World, observe: Observer | None, categoricals: int | None):
        self._episode, self._seed, self._world, self._observe = episode, seed, world, observe
        self._categoricals = categoricals
        self._returns = np.zeros(world.spec.agents, dtype=np.float64)
        self._latency_s = array("d")
        self._waited_s = array("d")
        self._computed_s = array("d")
        self._hearable = self._masked = self._idle = self._illegal = 0
        self._asked, self._answered = set[int](), set[int]()
        self._state: npt.NDArray[np.float32] | None = None

    def actions(self, replies: dict[int, Reply]) -> list[Action]:
        """The joint action: what each agent answered, where it answered with something legal.

        To be asked for before the world moves, since what is recorded of its state is from before.
        """
        if self._observe is not None:
            self._state = self._world.state()
        joint = []
        for slot, view in enumerate(self._world.views):
            reply = replies.get(slot)
            if reply is not None and self._world.is_legal(slot, reply.action):
                joint.append(reply.action)
                continue
            self._idle += view is not None and reply is None
            self._illegal += reply is not None
            joint.append(self._world.idle_action(slot))
        return joint

    def add(
        self,
        *,
        views: Sequence[View | None],
        replies: dict[int, Reply],
        actions: Sequence[Action],
        reward: npt.NDArray[np.float32],
        asked_ns: int,
        latency_s: float,
    ) -> None:
        """Book one step: `views` before and `reward` after the joint action."""
        step = len(self._latency_s)
        self._latency_s.append(latency_s)
        self._returns += reward
        self._asked.update(slot for slot, view in enumerate(views) if view is not None)
        self._answered.update(replies)
        for slot, reply in replies.items():
            if reply.waited_s is not None:
                self._waited_s.append(reply.waited_s)
            self._computed_s.append(reply.computed_s)
            view = views[slot]
            if step > 0 and view is not None:
                self._hearable += len(view.receives_from)
                self._masked += len(reply.masked)
        if self._observe is not None:
            self._observe(self._record(step, views, replies, actions, reward, asked_ns))

    def result(self, outcome: float) -> EpisodeResult:
        return EpisodeResult(
            episode=self._episode,
            seed=self._seed,
            steps=len(self._latency_s),
            outcome=outcome,
            team_return=float(self._returns.mean()),
            latency_s=self._latency_s,
            waited_s=self._waited_s,
            computed_s=self._computed_s,
            hearable=self._hearable,
            masked=self._masked,
            idle=self._idle,
            illegal=self._illegal,
            cut=self._world.cut,
            absent=tuple(sorted(self._asked - self._answered)),
        )

    def _record(
        self,
        step: int,
        views: Sequence[View | None],
        replies: dict[int, Reply],
        actions: Sequence[Action],
        reward: npt.NDArray[np.float32],
        asked_ns: int,
    ) -> StepRecord:
        spec = self._world.spec
        agents = spec.agents
        record = StepRecord(
            episode=self._episode,
            step=step,
            present=np.array([view is not None for view in views]),
            observation=np.zeros((agents, spec.observation_size), dtype=np.float32),
            action_mask=spec.rows.whole_masks.copy(),
            hears=np.zeros((agents, agents), dtype=bool),
            masked=np.zeros((agents, agents), dtype=bool),
            lost=np.zeros((agents, agents), dtype=bool),
            delay=np.zeros((agents, agents), dtype=np.int64),
            acted=np.array([slot in replies for slot in range(agents)]),
            action=spec.rows.joint(actions),
            reward=reward,
            latent=None if self._categoricals is None else np.full((agents, self._categoricals), -1, dtype=np.int32),
            state=self._state,
            asked_ns=asked_ns,
            latency_s=self._latency_s[step],
            waited_s=np.full(agents, np.nan),
        )
        for slot, view in enumerate(views):
            if view is not None:
                record.observation[slot] = view.observation
                record.action_mask[slot] = spec.rows.mask_row(slot, view.action_mask)
                record.hears[slot, list(view.receives_from)] = True
                record.lost[slot, list(view.lost)] = True
                record.delay[slot, list(view.late)] = list(view.late.values())
        for slot, reply in replies.items():
            record.masked[slot, list(reply.masked)] = True
            if reply.waited_s is not None:
                record.waited_s[slot] = reply.waited_s
            if record.latent is not None and reply.latent is not None:
                record.latent[slot] = reply.latent
        return record
