"""Imagination: rolling the model forward under the policy, without observations and without a graph.

Axis legend: S imagined states (transitions + 1), M joint states, N agents, K categoricals, C classes,
G recurrent size, A entries of an action mask, P outputs of an actor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from trainer.experience.channel_settings import ChannelSettings
from trainer.experience.links import Links, Uniform, advance, sent_to
from trainer.nets.joint_rows import JointRows
from trainer.policy.draws import Draws, RandomDraws
from trainer.policy.imagined import Features, ImaginedRollout
from trainer.policy.masks import imagined_mask
from trainer.policy.settings import PolicySettings
from trainer.world_model.posteriors import LatentModel
from trainer.world_model.received import Received, readable
from trainer.world_model.saying import drawn, everyone, with_own
from trainer.world_model.withholding import LastSent


@dataclass(frozen=True, kw_only=True)
class JointStates(JointRows):
    """Latent states of a team, to imagine from."""

    ids: Tensor
    """int64 [M, N, K]."""
    deter: Tensor
    """[M, N, G]."""
    hears: Tensor | None
    """bool [M, N, N], held during the whole rollout; None: full attention."""
    links: Links | None = None
    """How messages get through; None: all do."""
    received: Received | None = None
    """What the agents hold of one another, if older messages stand in for those that are not there."""
    last: LastSent | None = None
    """The agents' last messages, if they withhold some."""
    seen: Tensor | None = None
    """[M, N, D]: what was observed or is imagined to be, if the policy reads it."""

    @property
    def latents(self) -> tuple[Tensor, Tensor]:
        """What the model's networks read of them."""
        return self.ids, self.deter

    @property
    def features(self) -> Features:
        """What actor and critic read of them."""
        return self.latents if self.seen is None else (*self.latents, self.seen)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the policy does in joint states."""

    action: Tensor
    """[M, N, ...]."""
    logits: Tensor
    """[M, N, P], without what is not available."""
    available: Tensor | None
    """bool [M, N, A], None without action masks."""


@dataclass(frozen=True, kw_only=True)
class Outlook(JointRows):
    """What a transition leads to, before latents are drawn."""

    prior: Tensor
    """[M, N, K, C] probabilities."""
    deter: Tensor
    """[M, N, G]."""
    hears: Tensor | None
    """bool [M, N, N]."""
    links: Links | None = None
    received: Received | None = None
    last: LastSent | None = None


@dataclass(frozen=True, kw_only=True)
class Imagination:
    """The world model under the policy, in the parts that planning puts together in its own way."""

    model: LatentModel
    actor: nn.Module
    settings: PolicySettings
    draws: Draws
    channel: ChannelSettings = ChannelSettings()  # noqa: RUF009  # settings never change

    def decide(self, states: JointStates) -> Decision:
        """Sample an action of every agent."""
        available = self._available(states)
        actions = self.model.actions
        logits = actions.masked(self.actor(*states.features), available)
        return Decision(action=self.draws.action(logits, actions), logits=logits, available=available)

    def transition(self, states: JointStates, action: Tensor) -> Outlook:
        """What actions [M, N, ...] lead to."""
        rssm = self.model.rssm
        keep = states.deter.new_ones(*states.deter.shape[:-1], 1)
        links, received, last, heard = states.links, states.received, states.last, states.hears
        told, saying = states.ids, self.model.saying
        if saying is not None:
            told = drawn(saying, states.ids, states.deter, self.draws, classes=rssm.sizes.classes)
        if links is not None:
            sent = None
            if last is not None:
                last, sent = last.after(told, self.channel)
            links = advance(links, self.channel, self._uniform(states.deter), sent_to(sent, heard))
            heard = readable(heard, links.age)
        if links is not None and received is not None:
            received = received.after(told, action, links.age, None if saying is None else states.ids)
            tokens = rssm.held_tokens(received.ids, received.action, keep)
            tokens = rssm.with_predicted(
                tokens, received.ids, received.action, links.age, states.deter, self.draws.latent
            )
        else:
            tokens = rssm.tokens(states.ids, action, keep)
            if saying is not None:
                tokens = with_own(rssm, tokens, rssm.tokens(told, action, keep))
                heard = everyone(tokens) if heard is None else heard
        deter = rssm.recur(rssm.communicate(tokens, heard), states.deter)
        return Outlook(
            prior=rssm.probabilities(rssm.prior_logits(deter)),
            deter=deter,
            hears=states.hears,
            links=links,
            received=received,
            last=last,
        )

    def predict(self, outlook: Outlook) -> JointStates:
        """The next states: latents drawn from the prior."""
        ids = self.draws.latent(outlook.prior)
        return JointStates(
            ids=ids,
            deter=outlook.deter,
            hears=outlook.hears,
            links=outlook.links,
            received=outlook.received,
            last=outlook.last,
            seen=self.model.imagined(ids, outlook.deter),
        )

    def _uniform(self, like: Tensor) -> Uniform:
        """From the generator of the latents, if it has one."""
        generator = self.draws.generator if isinstance(self.draws, RandomDraws) else None
        return lambda shape: torch.rand(shape, dtype=like.dtype, device=like.device, generator=generator)

    def _available(self, states: JointStates) -> Tensor | None:
        """Predicted action mask bool [M, N, A]."""
        if self.model.available is None:
            return None
        probabilities = torch.sigmoid(self.model.available(*states.latents))
        return imagined_mask(probabilities, self.settings, self.draws, actions=self.model.actions)


Predict = Callable[[Outlook], JointStates]
"""How the next states are found among those that a prior allows."""


@torch.no_grad()
def roll_out(
    world: Imagination, start: JointStates, *, predict: Predict, actions: Tensor | None = None
) -> ImaginedRollout:
    """`settings.horizon` transitions from every start state; `world.predict` draws the next ones.  Given `actions`
    [S-1, M, N, ...] are done in place of the policy's, but not in what `predict` looks ahead to.

    The GRU state of the next imagined step is what reward and continuation read ([z_s, h_{s+1}]), so the rollout
    computes every transition once and the heads run over all of them together.
    """
    states, decisions = [start], []
    for step in range(world.settings.horizon):
        decision = world.decide(states[-1])
        if actions is not None:
            decision = replace(decision, action=actions[step])
        outlook = world.transition(states[-1], decision.action)
        states.append(predict(outlook))
        decisions.append(decision)
    model = world.model
    ids, deter, *seen = (torch.stack(parts) for parts in zip(*(state.features for state in states), strict=True))
    pair = (ids[:-1], deter[1:])
    available = [decision.available for decision in decisions if decision.available is not None]
    return ImaginedRollout(
        features=(ids, deter, *seen),
        action=torch.stack([decision.action for decision in decisions]),
        logits=torch.stack([decision.logits for decision in decisions]),
        available=torch.stack(available) if available else None,
        reward=model.reward(*pair).squeeze(-1),
        continuation=torch.sigmoid(model.continuation(*pair).squeeze(-1)),
    )
