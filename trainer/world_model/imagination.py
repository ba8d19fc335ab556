"""Imagination: rolling the model forward under the policy, without observations and without a graph.

Axis legend: S imagined states (transitions + 1), M joint states, N agents, K categoricals, C classes,
G recurrent size, A entries of an action mask, P outputs of an actor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor, nn

from trainer.policy.draws import Draws
from trainer.policy.imagined import Features, ImaginedRollout
from trainer.policy.masks import imagined_mask
from trainer.policy.settings import PolicySettings
from trainer.world_model.posteriors import LatentModel


class JointRows:
    """Base of dataclasses of tensors whose first axis is M; None stays None."""

    def rows(self, index: Tensor) -> Self:
        """Some of them, int64 [...]."""
        return self._each(lambda tensor: tensor[index])

    def copies(self, count: int) -> Self:
        """All of them `count` times over: copy c of row m is row c * M + m."""
        return self._each(lambda tensor: tensor.expand(count, *tensor.shape).flatten(0, 1))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # a dataclass, which no bound can say
        return type(self)(**{name: None if value is None else change(value) for name, value in values.items()})


@dataclass(frozen=True, kw_only=True)
class JointStates(JointRows):
    """Latent states of a team, to imagine from."""

    ids: Tensor
    """int64 [M, N, K]."""
    deter: Tensor
    """[M, N, G]."""
    hears: Tensor | None
    """bool [M, N, N], held during the whole rollout; None: full attention."""

    @property
    def features(self) -> Features:
        """What networks read of them."""
        return self.ids, self.deter


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


@dataclass(frozen=True, kw_only=True)
class Imagination:
    """The world model under the policy, in the parts that planning puts together in its own way."""

    model: LatentModel
    actor: nn.Module
    settings: PolicySettings
    draws: Draws

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
        rows = rssm.communicate(rssm.tokens(states.ids, action, keep), states.hears)
        deter = rssm.recur(rows, states.deter)
        return Outlook(prior=rssm.probabilities(rssm.prior_logits(deter)), deter=deter, hears=states.hears)

    def predict(self, outlook: Outlook) -> JointStates:
        """The next states: latents drawn from the prior."""
        return JointStates(ids=self.draws.latent(outlook.prior), deter=outlook.deter, hears=outlook.hears)

    def _available(self, states: JointStates) -> Tensor | None:
        """Predicted action mask bool [M, N, A]."""
        if self.model.available is None:
            return None
        probabilities = torch.sigmoid(self.model.available(*states.features))
        return imagined_mask(probabilities, self.settings, self.draws, actions=self.model.actions)


Predict = Callable[[Outlook], JointStates]
"""How the next states are found among those that a prior allows."""


@torch.no_grad()
def roll_out(world: Imagination, start: JointStates, *, predict: Predict) -> ImaginedRollout:
    """`settings.horizon` transitions from every start state; `world.predict` draws the next ones.

    The GRU state of the next imagined step is what reward and continuation read ([z_s, h_{s+1}]), so the rollout
    computes every transition once and the heads run over all of them together.
    """
    states, decisions = [start], []
    for _step in range(world.settings.horizon):
        decision = world.decide(states[-1])
        outlook = world.transition(states[-1], decision.action)
        states.append(predict(outlook))
        decisions.append(decision)
    model = world.model
    ids, deter = torch.stack([state.ids for state in states]), torch.stack([state.deter for state in states])
    pair = (ids[:-1], deter[1:])
    available = [decision.available for decision in decisions if decision.available is not None]
    return ImaginedRollout(
        features=(ids, deter),
        action=torch.stack([decision.action for decision in decisions]),
        logits=torch.stack([decision.logits for decision in decisions]),
        available=torch.stack(available) if available else None,
        reward=model.reward(*pair).squeeze(-1),
        continuation=torch.sigmoid(model.continuation(*pair).squeeze(-1)),
    )
