"""Counterfactual replay: the decisions of a recorded run made again, each agent alone with what it observed and read.

What would it have done had a message held something else?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.counters import CounterTable
from agent_node.inbox import Inbox, LatePolicy
from agent_node.message import Decision, Message
from coordinator.recording.reader import TraceEpisode
from coordinator.recording.schema import TraceHeader
from heliograph import codecs
from heliograph.bundle import Bundle
from heliograph.errors import BundleMismatch


@dataclass(frozen=True, kw_only=True)
class ReplayedStep:
    """One agent at one recorded step, about to decide; valid until the next one is asked for."""

    slot: int
    agent_input: AgentInput
    messages: Mapping[int, Message]
    """What it read, by sender."""
    _agent: Agent

    def consider(self, latents: Mapping[int, npt.NDArray[np.int32]]) -> Decision:
        """What it would decide if these senders of what it received had sent other latents, int32 [K] each."""
        sent = {peer: self.messages[peer]._replace(latent=latent) for peer, latent in latents.items()}
        return self._agent.consider(self.agent_input, {**self.messages, **sent})


class CounterfactualReplay:
    """Leads the agents of a trace through its steps again, each alone with what it observed and received.

    Raises BundleMismatch for other bundles than those of the trace, SettingsError if its codec cannot be had.
    """

    def __init__(self, bundles: Sequence[Bundle], header: TraceHeader) -> None:
        if tuple(bundle.digest for bundle in bundles) != header.bundles:
            raise BundleMismatch("the trace was recorded with other bundles", remedy="Give those that it was made with")
        self._agents = [Agent(bundle, run_seed=header.run_seed, greedy=header.greedy) for bundle in bundles]
        self._late_policy = LatePolicy(header.late_policy)
        self._rows = header.rows
        self._codec = None if header.message is None else codecs.make(header.codec, header.message, bundles[0].tables)
        self.decisions = self.differing = 0
        """How many were made, and how many were not those of the trace."""

    def steps(self, episodes: Iterable[TraceEpisode]) -> Iterator[ReplayedStep]:
        """Every decision of every agent, agent by agent, in order."""
        for episode in episodes:
            for agent in self._agents:
                yield from self._of_one(agent, episode)

    def _of_one(self, agent: Agent, episode: TraceEpisode) -> Iterator[ReplayedStep]:
        slot, inbox = agent.slot, Inbox(late_policy=self._late_policy, counts=CounterTable())
        for step in np.flatnonzero(episode.present[:, slot] & episode.acted[:, slot]).tolist():
            agent_input = _recorded_agent_input(episode, slot, step, own=self._rows.own(slot))
            for peer in np.flatnonzero(episode.sent()[step - 1, :, slot]).tolist() if step else ():
                inbox.receive(peer, self._as_read(episode, peer, step - 1))
            inbox.begin(episode.episode, step, lost=agent_input.lost, late=agent_input.late)
            messages = inbox.close(agent.reads(agent_input), awaited=()).messages
            yield ReplayedStep(slot=slot, agent_input=agent_input, messages=messages, _agent=agent)
            decision = agent.step(agent_input, messages)
            same = np.array_equal(decision.action, self._rows.action(slot, episode.action[step, slot]))
            if decision.message is not None and episode.latent is not None:
                same = same and np.array_equal(decision.message.latent, episode.latent[step, slot])
            self.decisions += 1
            self.differing += not same

    def _as_read(self, episode: TraceEpisode, sender: int, step: int) -> Message:
        assert self._codec is not None
        assert episode.latent is not None
        latent = episode.latent[step, sender]
        if not self._codec.lossless:
            payload, fell_back = self._codec.encode(latent)
            latent = self._codec.decode(payload, None, fell_back)
        done = self._rows.action(sender, episode.action[step, sender])
        return Message(episode=episode.episode, step=step, latent=latent, action=done)


def _recorded_agent_input(episode: TraceEpisode, slot: int, step: int, *, own: slice) -> AgentInput:
    """`own` are the agent's own entries of its recorded mask."""
    delay = episode.delay[step, slot]
    # What no simulated channel took, but was not there in time, is as good as lost to this step.
    lost = episode.lost[step, slot] | (episode.masked[step, slot] & (delay == 0))
    return AgentInput(
        episode=episode.episode,
        step=step,
        observation=episode.observation[step, slot],
        action_mask=episode.action_mask[step, slot, own],
        receives_from=tuple(np.flatnonzero(episode.hears[step, slot]).tolist()),
        first=step == 0,
        lost=tuple(np.flatnonzero(lost).tolist()),
        late={peer: int(delay[peer]) for peer in np.flatnonzero(delay).tolist()},
        message_deadline_s=0.0,
    )
