"""Collecting experience: many copies of the environment, stepped with a policy, their rows gathered for replay.

Axis legend: E copies, N agents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from heliograph.environments.vector import (
    AgentInputs,
    Transition,
    VectorEnvironment,
    checked_agent_inputs,
    checked_state,
    checked_transition,
)
from heliograph.errors import WorldError
from heliograph.seeds import episode_seed
from trainer.experience.collecting_links import CollectingLinks
from trainer.experience.columns import STATE, zero_columns
from trainer.experience.curriculum import CurriculumSettings, own_value
from trainer.experience.links import CHANNEL, SENT
from trainer.experience.readable import neighbour_tensor
from trainer.experience.replay import Replay
from trainer.experience.replayed_restore import rewind
from trainer.experience.rows import Rows, absorbing_rows, empty_rows, random_actions
from trainer.experience.staging import StagingBuffer
from trainer.policy.acting import Behaviour, carried_tensors
from trainer.policy.draws import RandomDraws
from trainer.ranks.streams import drawn_seed, stream_of

logger = logging.getLogger(__name__)

_ENDED = ("ended.outcome", "ended.returns", "ended.length")
"""Arrays of a collection that was left."""

LOST_AT_MOST = 5
"""Episodes per copy that may be lost with none finished in between."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The episodes that ended during one call of `collect`, and the counters after it."""

    outcome: list[float]
    team_return: list[float]
    """Rewards summed over steps, averaged over agents."""
    length: list[int]
    """Steps."""
    env_steps: int
    """Of the run so far, over all copies that are stepped here."""
    lost_episodes: int
    """Of the run so far."""


class Collector:
    """Steps the environment; episodes run on from one call to the next, and so do the states of the teams.

    They are staged until `commit` hands them to replay, which nothing else here writes to.  Episode k of a run
    (counted over all copies, in the order of their starts) is seeded by (run seed, k); of several ranks, rank r begins
    the episodes r, r + ranks, r + 2 ranks, ...
    """

    # Nine parameters: what is stepped, by whom, into what, how it grows harder or is cut, and what makes it repeatable.
    def __init__(
        self,
        environment: VectorEnvironment,
        behaviour: Behaviour,
        replay: Replay,
        *,
        seed: int,
        device: torch.device,
        rank: int = 0,
        ranks: int = 1,
        curriculum: CurriculumSettings | None = None,
        most_steps: int = 0,
    ) -> None:
        """`most_steps` is `EnvironmentSettings.most_steps`."""
        self.environment, self.replay = environment, replay
        self.seed, self.device = seed, device
        self._rank, self._ranks = rank, ranks
        self._curriculum, self._most_steps = curriculum, most_steps
        self._own_value = 0.0 if curriculum is None else own_value(curriculum, environment)
        self.env_steps = 0
        self.episodes_started = 0
        self.lost_episodes = 0
        """Episodes whose simulator died; nothing of them is kept."""
        count, agents = environment.count, environment.spec.agents
        self._random = np.random.default_rng(stream_of(seed, 0xAB, rank=rank))  # for absorbing rows
        # Of its own, so that collecting draws the same numbers whatever is learned meanwhile.
        self._generator = torch.Generator(device).manual_seed(drawn_seed(seed, 0xAC, rank=rank))
        self._draws = RandomDraws(self._generator)
        self._team = behaviour.initial_state(count)
        self._channel = CollectingLinks.of(behaviour, copies=count, agents=agents, generator=self._generator)
        self._staged = StagingBuffer(environment.spec, columns=replay.columns)
        self._everyone = np.arange(count)
        self._seeds = np.zeros(count, dtype=np.int64)
        self._varied = np.zeros(count)  # of the curriculum's parameter, in the running episodes
        self._returns = np.zeros((count, agents))  # of the running episodes
        self._lengths = np.zeros(count, dtype=np.int64)
        self._lost_in_a_row = 0
        self._made = 0  # steps per copy of a collection that was left, and what had ended in it
        self._ended: list[
            tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
        ] = []  # outcome, return of each agent, length
        # What the teams perceive now; the tensors share the memory of the arrays.
        self._now = empty_rows(environment.spec, count, columns=replay.columns)
        self._inputs = {
            name: torch.from_numpy(getattr(self._now, name)) for name in ("observation", "action_mask", "first")
        }
        self._begin(self._everyone)
        self.commit()

    def collect(
        self, steps_per_copy: int, behaviour: Behaviour, *, check: Callable[[], None] = lambda: None
    ) -> Collected:
        """Step every copy so often.  Raises WorldError if an environment breaks its contract, or dies ever again.

        `check` is called before every step and may raise; the next call then makes the steps that are left.
        """
        while self._made < steps_per_copy:
            check()
            actions = self._act(behaviour)
            transition = checked_transition(self.environment.step(actions), of=self.environment)
            self.env_steps += self.environment.count
            cut = self._cut()
            self._perceive(transition, actions, behaviour, cut=cut)
            if transition.over.any():
                self._ended.append(self._end(transition))
            if (anew := transition.over | cut).any():
                self._begin(np.flatnonzero(anew))
            self._made += 1
        outcome, returns, length = self._all_ended()
        self._made, self._ended = 0, []
        return Collected(
            outcome=outcome.tolist(),
            team_return=returns.mean(1).tolist(),
            length=length.tolist(),
            env_steps=self.env_steps,
            lost_episodes=self.lost_episodes,
        )

    def _cut(self) -> npt.NDArray[np.bool_]:
        """bool [E]: copies whose episodes are cut after the step that has been made."""
        count = self.environment.count
        if not self._most_steps:
            return np.zeros(count, dtype=bool)
        lengths = self._lengths + 1
        # The first episodes are cut one after another, so that from then on there is always one that has just begun.
        first = lengths == self.env_steps // count
        staggered = -(-self._most_steps * (self._everyone + 1) // count)
        cut: npt.NDArray[np.bool_] = lengths >= np.where(first, staggered, self._most_steps)
        return cut

    def _all_ended(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Outcome [R], return of each agent [R, N] and length [R] of the episodes that this collection has ended."""
        nothing = np.empty(0), self._returns[:0], self._lengths[:0]
        outcome, returns, length = (np.concatenate(parts) for parts in zip(nothing, *self._ended, strict=True))
        return outcome, returns, length

    def commit(self) -> None:
        """Hand everything that was collected to replay."""
        lost, copies, rows = self._staged.take()
        for copy in lost:
            self.replay.discard(copy)
        self.replay.add(copies, rows)

    def _act(self, behaviour: Behaviour) -> npt.NDArray[Any]:
        action, self._team = behaviour.act(
            self._team,
            **{name: tensor.to(self.device) for name, tensor in self._inputs.items()},
            hears=neighbour_tensor(self._now.hears, self.environment.spec, device=self.device),
            draws=self._draws,
            **({} if self._channel is None else {"age": self._channel.age}),
        )
        return action.cpu().numpy()

    def _perceive(
        self, transition: Transition, actions: npt.NDArray[Any], behaviour: Behaviour, *, cut: npt.NDArray[np.bool_]
    ) -> None:
        """Take in what a step of all copies led to, of which some are `cut`, bool [E]."""
        now, agent_inputs = self._now, transition.agent_inputs
        heard_before = now.hears.copy()
        # Whoever had no part in the step before has no message of it.
        np.logical_and(agent_inputs.hears, now.present[:, None], out=now.hears)
        np.copyto(now.observation, agent_inputs.observation)
        np.copyto(now.action_mask, agent_inputs.action_mask)
        np.copyto(now.present, agent_inputs.present)
        np.copyto(now.reward, transition.reward)
        np.copyto(now.terminated, transition.terminated)
        if self.replay.settings.time_limit_is_terminal:
            now.terminated[transition.truncated | cut] = True
        for name, values in behaviour.columns(self._team).items():
            np.copyto(now.columns[name], values.cpu().numpy())
        if STATE in now.columns:
            np.copyto(now.columns[STATE], checked_state(of=self.environment, lost=transition.lost))
        if self._channel is not None:
            # As in the runtime, a message goes to whoever is in reach when it is made or when it is read.
            reach = now.hears | heard_before
            self._channel.advance(now.columns.get(SENT), reach=reach)
            self._write_links(now.columns)
        now.action[:] = actions
        now.first[:] = False
        self._staged.add(self._everyone, now)
        self._returns += transition.reward
        self._lengths += 1

    def _write_links(self, columns: Mapping[str, npt.NDArray[Any]], copies: Any = slice(None)) -> None:
        """Write into the columns of some copies what befalls their messages."""
        assert self._channel is not None
        for name, values in self._channel.columns().items():
            if name in columns:
                np.copyto(columns[name], values[copies])

    def _end(self, transition: Transition) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Close the episodes that are over: outcome, return of each agent and length of those that count."""
        over = np.flatnonzero(transition.over & ~transition.lost)
        if transition.lost.any():
            self._lose(np.flatnonzero(transition.lost))
        if over.size:
            self._lost_in_a_row = 0
        gone = over[transition.terminated[over].all(1)]
        if gone.size:
            # Every agent repeats one random action.
            action = random_actions(self.environment.spec, gone.size, self._random)
            times = self.replay.settings.absorbing_rows
            rows = absorbing_rows(
                self.environment.spec, action=action.repeat(times, axis=0), columns=self.replay.columns
            )
            self._staged.add(gone.repeat(times), rows)
        return transition.outcome[over], self._returns[over], self._lengths[over]

    def _lose(self, copies: npt.NDArray[Any]) -> None:
        """Forget the running episodes of some copies.  Raises WorldError if nothing but that happens any more."""
        for copy in copies:
            self._staged.discard(int(copy))
        self.lost_episodes += copies.size
        self._lost_in_a_row += copies.size
        if self._lost_in_a_row > LOST_AT_MOST * self.environment.count:
            raise WorldError(
                f"adapter of {self.environment.spec.id!r}: {self._lost_in_a_row} episodes in a row were lost",
                remedy="Its simulator dies again and again: mend that, and go on",
            )

    def _begin(self, copies: npt.NDArray[Any]) -> None:
        """Start new episodes in some copies."""
        numbers = self._rank + self._ranks * (self.episodes_started + np.arange(copies.size))
        self.episodes_started += copies.size
        self._seeds[copies] = [episode_seed(run_seed=self.seed, episode=int(number)) for number in numbers]
        if self._curriculum is not None:
            self._varied[copies] = self._curriculum.value(self._own_value, self.env_steps * self._ranks)
            self.environment.vary(self._curriculum.parameter, self._varied[copies], copies)
        agent_inputs = checked_agent_inputs(self.environment.reset(self._seeds[copies], copies), of=self.environment)
        present = agent_inputs.present[copies]
        nothing = np.zeros(present.shape, dtype=bool)
        columns = zero_columns(self.replay.columns, copies.size)
        if self._channel is not None:
            self._channel.begin(copies)
            self._write_links(columns, copies)
        if STATE in columns:
            columns[STATE] = checked_state(of=self.environment)[copies]
        rows = Rows(
            observation=agent_inputs.observation[copies],
            action_mask=agent_inputs.action_mask[copies],
            # The zero vector, which counts as the message of whoever is there, is heard at a first step.
            hears=agent_inputs.hears[copies] & present[:, None],
            present=present,
            first=np.ones(copies.size, dtype=bool),
            action=np.zeros_like(self._now.action[copies]),
            reward=nothing,
            terminated=nothing,
            columns=columns,
        )
        now = self._now.arrays()
        for name, array in rows.arrays().items():
            now[name][copies] = array
        self._returns[copies], self._lengths[copies] = 0, 0
        self._staged.add(copies, rows)

    def state(self) -> dict[str, Any]:
        """Counters, random states and the running episodes, as JSON values and arrays by name.

        Belongs to the replay after a `commit`, which holds what was done and seen in the running episodes.
        """
        assert not len(self._staged), "rows that are not in replay would be lost"
        ended = dict(zip(_ENDED, self._all_ended(), strict=True))
        team = {f"team.{name}": tensor for name, tensor in carried_tensors(self._team).items()}
        links = {} if self._channel is None else self._channel.state()
        return {
            "env_steps": self.env_steps,
            "episodes_started": self.episodes_started,
            "lost_episodes": self.lost_episodes,
            "made": self._made,
            "random": self._random.bit_generator.state,
            "arrays": {name: tensor.cpu().numpy() for name, tensor in (team | links).items()}
            | ended
            | ({} if self._curriculum is None else {"varied": self._varied})
            | {"seeds": self._seeds, "returns": self._returns, "lengths": self._lengths}
            | {"generator": self._generator.get_state().numpy()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state; replay has taken over its own before.  Then `rerun_episodes`.

        Raises KeyError, TypeError, ValueError or AttributeError for what was not saved by a collector.
        """
        arrays = state["arrays"]
        self.env_steps, self.episodes_started = int(state["env_steps"]), int(state["episodes_started"])
        self.lost_episodes = int(state["lost_episodes"])
        # Older checkpoints were made between two collections.
        self._made = int(state.get("made", 0))
        self._ended = [tuple(arrays[name] for name in _ENDED)] if self._made else []
        self._random.bit_generator.state = state["random"]
        self._generator.set_state(torch.from_numpy(arrays["generator"]))
        self._seeds, self._returns, self._lengths = (arrays[name].copy() for name in ("seeds", "returns", "lengths"))
        self._team = type(self._team)(
            **{
                # What older checkpoints do not have of a team begins anew.
                field.name: torch.from_numpy(arrays[name]).to(self.device)
                if (name := f"team.{field.name}") in arrays
                else getattr(self._team, field.name)
                for field in fields(self._team)
            }
        )
        if self._channel is not None:
            self._channel.restore(arrays)
        self._staged.take()
        now = self._now.arrays()
        # What updates have written beside the newest rows is nothing that the next ones begin with.
        written = self.replay.columns.keys() - {STATE, *CHANNEL}
        for name, array in self.replay.newest().arrays().items():
            np.copyto(now[name], np.zeros_like(array) if name in written else array)
        if self._curriculum is not None:
            self._varied = arrays["varied"].copy()

    def rerun_episodes(self) -> None:
        """Run the running episodes of a state that was taken over once more.

        One that does not come to what was seen then (a game that cannot be repeated) is lost, and another is begun in
        its place.
        """
        if self._curriculum is not None:
            self.environment.vary(self._curriculum.parameter, self._varied, self._everyone)
        done = [self.replay.running_actions(copy) for copy in self._everyone]
        none = self._now.action[0, None][:0]
        agent_inputs, faithful = rewind(
            self.environment, self._seeds, [none if actions is None else actions for actions in done]
        )
        same = faithful & np.array([actions is not None for actions in done]) & self._equals(agent_inputs)
        if not same.all():
            lost = np.flatnonzero(~same)
            logger.warning("episodes cannot be repeated and are lost copies=%s", lost.tolist())
            self._lose(lost)
            self._begin(lost)
            self.commit()

    def _equals(self, agent_inputs: AgentInputs) -> npt.NDArray[Any]:
        """bool [E]: the copies that show what is seen now."""
        equal = np.ones(self.environment.count, dtype=bool)
        for name in ("observation", "action_mask", "present"):
            found, expected = getattr(agent_inputs, name), getattr(self._now, name)
            equal &= (found == expected).reshape(len(found), -1).all(1)
        return equal
