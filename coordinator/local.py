"""The team in one process: the same worlds, percepts, noise and messages, without processes, clocks or network.

The only module of this house that imports `agent_node`.  What it plays equals what N processes play, bit for bit,
as long as no message is late there; a test holds that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from agent_node.agent import Agent
from agent_node.message import Message
from agent_node.percept import Percept
from coordinator.trajectory import EpisodeResult, Observer, Reply, Tally
from coordinator.world import View, World
from heliograph.bundle import Bundle
from heliograph.seeds import episode_seed


@dataclass(frozen=True, kw_only=True)
class LocalEpisode:
    """A finished episode and the messages that processes would have sent in it, each counted once per listener."""

    result: EpisodeResult
    messages: int


class LocalTeam:
    """One agent per bundle.  Raises BundleError if one cannot be loaded."""

    def __init__(self, bundles: Sequence[Bundle], *, run_seed: int, greedy: bool) -> None:
        self._run_seed = run_seed
        self._agents = [Agent(bundle, run_seed=run_seed, greedy=greedy) for bundle in bundles]
        message = bundles[0].manifest.message
        self._categoricals = None if message is None else message.categoricals

    def play(
        self, world: World, *, episode: int, observe: Observer | None = None, report_latents: bool = False
    ) -> LocalEpisode:
        """Play one episode in `world`.  Raises WorldError or BundleError if one of the two misbehaves."""
        seed = episode_seed(run_seed=self._run_seed, episode=episode)
        tally = Tally(
            episode=episode,
            seed=seed,
            world=world,
            observe=observe,
            categoricals=self._categoricals if report_latents else None,
        )
        views: tuple[View | None, ...] = world.reset(seed)
        spoken: dict[int, Message] = {}
        told: dict[int, frozenset[int]] = {}
        step = messages = 0
        while True:
            started = time.perf_counter()
            # Whoever hears of step - 1 only now is sent it now; the others got it when it was made.
            messages += sum(len(set(v.heard_by) - told[v.slot]) for v in views if v is not None and v.slot in told)
            replies, decided = self._decide(views, spoken, episode=episode, step=step)
            latency_s = time.perf_counter() - started
            told = {slot: frozenset(views[slot].heard_by) for slot in decided}  # type: ignore[union-attr]
            messages += sum(len(listeners) for listeners in told.values())
            actions = tally.actions(replies)
            advance = world.advance(actions)
            tally.add(views=views, replies=replies, actions=actions, reward=advance.reward, latency_s=latency_s)
            if advance.over:
                return LocalEpisode(result=tally.result(advance.outcome), messages=messages)
            views, spoken, step = advance.views, decided, step + 1

    def _decide(
        self, views: Sequence[View | None], spoken: dict[int, Message], *, episode: int, step: int
    ) -> tuple[dict[int, Reply], dict[int, Message]]:
        replies: dict[int, Reply] = {}
        decided: dict[int, Message] = {}
        for view in views:
            if view is None:
                continue
            percept = Percept(
                episode=episode,
                step=step,
                observation=view.observation,
                action_mask=view.action_mask,
                hears=view.hears,
                heard_by=view.heard_by,
                first=step == 0,
                message_deadline_s=0.0,
            )
            started = time.perf_counter()
            inbox = {} if self._categoricals is None else {slot: spoken[slot] for slot in view.hears if slot in spoken}
            decision = self._agents[view.slot].step(percept, inbox)
            computed_s = time.perf_counter() - started
            latent = None if decision.message is None else decision.message.latent
            replies[view.slot] = Reply(action=decision.action, latent=latent, computed_s=computed_s)
            if decision.message is not None:
                decided[view.slot] = decision.message
        return replies, decided
