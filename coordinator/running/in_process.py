"""The team in one process: the same worlds, agent inputs, noise and messages, without processes, clocks or network.

The only module of this house that imports `agent_node`, whose in-process team holds the rules of messages.  What it
plays equals what N processes play, bit for bit, as long as no message is late there; a test holds that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent_node.agent import Agent
from agent_node.agent_input import AgentInput
from agent_node.in_process import Exchange, InProcessTeam
from agent_node.inbox import LatePolicy
from agent_node.message import Decision, Label, Message
from coordinator.plan.settings import TRAINED, late_policy_of
from coordinator.serving.conservation import LinkBalance, NodeReport, balance
from coordinator.world.trajectory import EpisodeResult, Observer, Reply, Tally, latents_of
from coordinator.world.world import View, World
from heliograph import codecs, log
from heliograph.bundle import Bundle
from heliograph.errors import MessageError
from heliograph.seeds import episode_seed


@dataclass(frozen=True, kw_only=True)
class LocalEpisode:
    """A finished episode, and what became of its messages on every directed link."""

    result: EpisodeResult
    links: tuple[LinkBalance, ...]


@dataclass(frozen=True, kw_only=True)
class SentMessages:
    """The messages of an episode, by slot and step; a step at which an agent sent none has None."""

    by_slot: dict[int, dict[int, Message | None]] = field(default_factory=dict)

    def keep(self, slot: int, label: Label, message: Message | None) -> Message | None:
        """Take note of a message, and leave it as it is."""
        self.by_slot.setdefault(slot, {})[label[1]] = message
        return message

    def in_place_of(self, slot: int, label: Label, _message: Message | None) -> Message | None:
        """What the slot sent here at this step, as if now; where its part was over by then, the last that it sent."""
        episode, step = label
        sent = self.by_slot.get(slot, {})
        if step in sent:
            found = sent[step]
        else:
            found = next((sent[at] for at in sorted(sent, reverse=True) if at < step and sent[at] is not None), None)
        return None if found is None else found._replace(episode=episode, step=step)


class LocalTeam:
    """One agent per bundle.  Raises BundleError if one cannot be loaded, SettingsError if the codec cannot be had."""

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        run_seed: int,
        greedy: bool,
        late_policy: str = TRAINED,
        codec: str = codecs.BIT_PACKED,
    ) -> None:
        self._run_seed = run_seed
        self._late_policy = LatePolicy(late_policy_of(bundles[0].manifest, late_policy))
        self._agents = [Agent(bundle, run_seed=run_seed, greedy=greedy) for bundle in bundles]
        message = bundles[0].manifest.message
        self._categoricals = None if message is None else message.categoricals
        self._codec = None if message is None else codecs.make(codec, message, bundles[0].tables)
        self.logits: dict[int, npt.NDArray[np.float32]] = {}
        """float32 [A], or [2k] of continuous actions, by slot, of the newest step; not on the wire, so known here
        alone."""

    # Six parameters: what is played and where, who looks on, and what becomes of messages.
    def run_episode(
        self,
        world: World,
        *,
        episode: int,
        observe: Observer | None = None,
        report_latents: bool = False,
        exchange: Exchange | None = None,
    ) -> LocalEpisode:
        """Play one episode in `world`; `exchange` is as an `InProcessTeam` takes it.

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
        team = InProcessTeam(self._agents, late_policy=self._late_policy, codec=self._codec, exchange=exchange)
        place = log.here()
        views: tuple[View | None, ...] = world.reset(seed)
        step = 0
        while True:
            place.episode, place.step = episode, step
            asked_ns, started = time.time_ns(), time.perf_counter()
            decisions = team.step([_agent_input(view, episode=episode, step=step) for view in views])
            replies = _replies(team, decisions)
            self.logits = {slot: decision.logits for slot, decision in enumerate(decisions) if decision is not None}
            latency_s = time.perf_counter() - started
            actions = tally.actions(replies)
            advance = world.advance(actions, latents_of(replies))
            tally.add(
                views=views,
                replies=replies,
                actions=actions,
                reward=advance.reward,
                asked_ns=asked_ns,
                latency_s=latency_s,
            )
            if advance.over:
                place.episode = place.step = None
                return LocalEpisode(result=tally.result(advance.outcome), links=_links(team, size=len(self._agents)))
            views, step = advance.views, step + 1


def _agent_input(view: View | None, *, episode: int, step: int) -> AgentInput | None:
    if view is None:
        return None
    return AgentInput(
        episode=episode,
        step=step,
        observation=view.observation,
        action_mask=view.action_mask,
        receives_from=view.receives_from,
        sends_to=view.sends_to,
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
    reports = {slot: NodeReport(instance=str(slot), links=team.counters(slot)) for slot in range(size)}
    links = tuple(balance(reports, team_size=size))
    for link in links:
        if link.missing != 0:
            why = f"{link.missing} messages are missing" if link.missing else link.inexact["missing"].why
            raise MessageError(f"link {link.sender}->{link.receiver} of a team in one process: {why}")
    return links
