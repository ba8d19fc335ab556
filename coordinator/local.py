"""The team in one process: the same worlds, percepts, noise and messages, without processes, clocks or network.

The only module of this house that imports `agent_node`, whose in-process team holds the rules of messages.  What it
plays equals what N processes play, bit for bit, as long as no message is late there; a test holds that.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from agent_node.agent import Agent
from agent_node.counters import Ledger
from agent_node.in_process import InProcessTeam
from agent_node.inbox import Inbox, LatePolicy
from agent_node.message import Decision, Message
from agent_node.percept import Percept
from coordinator.bandwidth.trace import TraceEpisode
from coordinator.bandwidth.trace_header import TraceHeader
from coordinator.conservation import LinkBalance, LinkCounters, NodeReport, balance
from coordinator.trajectory import EpisodeResult, Observer, Reply, Tally, latents_of
from coordinator.world import View, World
from heliograph import codecs, log
from heliograph.bundle import Bundle
from heliograph.errors import BundleMismatch, MessageError
from heliograph.seeds import episode_seed


@dataclass(frozen=True, kw_only=True)
class LocalEpisode:
    """A finished episode, and what became of its messages on every directed link."""

    result: EpisodeResult
    links: tuple[LinkBalance, ...]


class LocalTeam:
    """One agent per bundle.  Raises BundleError if one cannot be loaded, SettingsError if the codec cannot be had."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        run_seed: int,
        greedy: bool,
        late_policy: str = LatePolicy.MASK.value,
        codec: str = codecs.BIT_PACKED,
    ) -> None:
        self._run_seed = run_seed
        self._late_policy = LatePolicy(late_policy)
        self._agents = [Agent(bundle, run_seed=run_seed, greedy=greedy) for bundle in bundles]
        message = bundles[0].manifest.message
        self._categoricals = None if message is None else message.categoricals
        self._codec = None if message is None else codecs.make(codec, message, bundles[0].tables)
        self.logits: dict[int, np.ndarray] = {}
        """float32 [A], or [2k] of continuous actions, by slot, of the newest step; not on the wire, so known here
        alone."""

    def play(
        self, world: World, *, episode: int, observe: Observer | None = None, report_latents: bool = False
    ) -> LocalEpisode:
        """Play one episode in `world`.

        Raises WorldError or BundleError if one of the two misbehaves, MessageError if the counts of a link do not add
        up.
        """
        seed = episode_seed(run_seed=self._run_seed, episode=episode)
        tally = Tally(
            episode=episode,
            seed=seed,
            world=world,
            observe=observe,
            categoricals=self._categoricals if report_latents else None,
        )
        # A new one, because labels go forward within a team, and episodes may be played in any order, or again.
        team = InProcessTeam(self._agents, late_policy=self._late_policy, codec=self._codec)
        place = log.here()
        views: tuple[View | None, ...] = world.reset(seed)
        step = 0
        while True:
            place.episode, place.step = episode, step
            started = time.perf_counter()
            decisions = team.step([_percept(view, episode=episode, step=step) for view in views])
            replies = _replies(team, decisions)
            self.logits = {slot: decision.logits for slot, decision in enumerate(decisions) if decision is not None}
            latency_s = time.perf_counter() - started
            actions = tally.actions(replies)
            advance = world.advance(actions, latents_of(replies))
            tally.add(views=views, replies=replies, actions=actions, reward=advance.reward, latency_s=latency_s)
            if advance.over:
                place.episode = place.step = None
                return LocalEpisode(result=tally.result(advance.outcome), links=_links(team, size=len(self._agents)))
            views, step = advance.views, step + 1


def _percept(view: View | None, *, episode: int, step: int) -> Percept | None:
    if view is None:
        return None
    return Percept(
        episode=episode,
        step=step,
        observation=view.observation,
        action_mask=view.action_mask,
        hears=view.hears,
        heard_by=view.heard_by,
        first=step == 0,
        lost=view.lost,
        late=view.late,
        message_deadline_s=0.0,
    )


def _replies(team: InProcessTeam, decisions: Sequence[Decision | None]) -> dict[int, Reply]:
    return {
        slot: Reply(
            action=decision.action,
            latent=None if decision.message is None else decision.message.latent,
            masked=team.masked[slot],
            computed_s=team.computed_s[slot],
        )
        for slot, decision in enumerate(decisions)
        if decision is not None
    }


def _links(team: InProcessTeam, *, size: int) -> tuple[LinkBalance, ...]:
    reports = {
        slot: NodeReport(
            instance=str(slot),
            links=tuple(
                LinkCounters(peer=peer, **asdict(counters)) for peer, counters in sorted(team.counters(slot).items())
            ),
        )
        for slot in range(size)
    }
    links = tuple(balance(reports, team_size=size))
    for link in links:
        if link.missing:
            raise MessageError(f"link {link.sender}->{link.receiver} of a team in one process misses {link.missing}")
    return links


@dataclass(frozen=True, kw_only=True)
class Situation:
    """One agent at one recorded step, about to decide; of use until the next one is asked for."""

    slot: int
    percept: Percept
    messages: Mapping[int, Message]
    """What it read, by sender."""
    _agent: Agent

    def consider(self, latents: Mapping[int, np.ndarray]) -> Decision:
        """What it would decide if these senders, of those that it heard, had said that: int32 [K] each."""
        said = {peer: replace(self.messages[peer], latent=latent) for peer, latent in latents.items()}
        return self._agent.consider(self.percept, {**self.messages, **said})


class Rehearsal:
    """Leads the agents of a trace through its steps again, each alone with what it perceived and heard.

    Raises BundleMismatch for other bundles than those of the trace, SettingsError if its codec cannot be had.
    """

    def __init__(self, bundles: Sequence[Bundle], header: TraceHeader) -> None:
        if tuple(bundle.digest for bundle in bundles) != header.bundles:
            raise BundleMismatch("the trace was recorded with other bundles", remedy="Give those that it was made with")
        self._agents = [Agent(bundle, run_seed=header.run_seed, greedy=header.greedy) for bundle in bundles]
        self._late_policy = LatePolicy(header.late_policy)
        self._codec = None if header.message is None else codecs.make(header.codec, header.message, bundles[0].tables)
        self.decisions = self.differing = 0
        """How many were made, and how many were not those of the trace."""

    def situations(self, episodes: Iterable[TraceEpisode]) -> Iterator[Situation]:
        """Every decision of every agent, agent by agent, in order."""
        for episode in episodes:
            for agent in self._agents:
                yield from self._of_one(agent, episode)

    def _of_one(self, agent: Agent, episode: TraceEpisode) -> Iterator[Situation]:
        slot, inbox = agent.slot, Inbox(late_policy=self._late_policy, ledger=Ledger())
        for step in np.flatnonzero(episode.present[:, slot] & episode.acted[:, slot]).tolist():
            percept = _recorded_percept(episode, slot, step)
            for peer in np.flatnonzero(episode.sent()[step - 1, :, slot]).tolist() if step else ():
                inbox.receive(peer, self._as_read(episode, peer, step - 1))
            inbox.begin(episode.episode, step, lost=percept.lost, late=percept.late)
            messages = inbox.close(agent.reads(percept), awaited=()).messages
            yield Situation(slot=slot, percept=percept, messages=messages, _agent=agent)
            decision = agent.step(percept, messages)
            same = np.array_equal(decision.action, episode.action[step, slot])
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
        done = episode.action[step, sender]
        return Message(episode=episode.episode, step=step, latent=latent, action=done if done.ndim else int(done))


def _recorded_percept(episode: TraceEpisode, slot: int, step: int) -> Percept:
    delay = episode.delay[step, slot]
    # What no simulated channel took, but was not there in time, is as good as lost to this step.
    lost = episode.lost[step, slot] | (episode.masked[step, slot] & (delay == 0))
    return Percept(
        episode=episode.episode,
        step=step,
        observation=episode.observation[step, slot],
        action_mask=episode.action_mask[step, slot],
        hears=tuple(np.flatnonzero(episode.hears[step, slot]).tolist()),
        first=step == 0,
        lost=tuple(np.flatnonzero(lost).tolist()),
        late={peer: int(delay[peer]) for peer in np.flatnonzero(delay).tolist()},
        message_deadline_s=0.0,
    )
