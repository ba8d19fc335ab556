"""Imagination: rolling the model forward under the policy, without observations and without a graph.

Axis legend: S imagined states (transitions + 1), M start states, N agents, K categoricals, G recurrent size, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.draws import Draws
from trainer.nets.perceptron import FeatureHead
from trainer.policy.actor_critic import masked_logits
from trainer.policy.settings import PolicySettings
from trainer.world_model.model import WorldModel


@dataclass(frozen=True, kw_only=True)
class StartStates:
    """Joint latent states to imagine from."""

    ids: Tensor
    """int64 [M, N, K]."""
    deter: Tensor
    """[M, N, G]."""
    hears: Tensor | None
    """bool [M, N, N], held during the whole rollout; None: full attention."""


@dataclass(frozen=True, kw_only=True)
class Dream:
    """Imagined trajectories.  State s and action s lead to reward s and state s + 1."""

    ids: Tensor
    """int64 [S, M, N, K]."""
    deter: Tensor
    """[S, M, N, G]."""
    action: Tensor
    """int64 [S-1, M, N]."""
    logits: Tensor
    """[S-1, M, N, A] of the acting policy, illegal actions at -1e10."""
    available: Tensor | None
    """bool [S-1, M, N, A], None without action masks."""
    reward: Tensor
    """[S-1, M, N] per agent."""
    continuation: Tensor
    """[S-1, M, N] probability that the agent's future goes on."""


@torch.no_grad()
def imagine(model: WorldModel, actor: FeatureHead, start: StartStates, settings: PolicySettings, draws: Draws) -> Dream:
    """Roll out `settings.horizon` transitions from every start state.

    The GRU state of the next imagined step is what reward and continuation read ([z_s, h_{s+1}]), so the rollout
    computes every transition once and the heads run over all of them together.
    """
    rssm = model.rssm
    keep = start.deter.new_ones(*start.deter.shape[:-1], 1)
    ids, deter = start.ids, start.deter
    all_ids, all_deter, actions, logits_, masks = [ids], [deter], [], [], []
    for _step in range(settings.horizon):
        available = _available(model, ids, deter, settings, draws)
        logits = masked_logits(actor(ids, deter), available)
        action = draws.action(logits)
        tokens = rssm.tokens(ids, action, keep)
        deter = rssm.recur(rssm.communicate(tokens, start.hears), deter)
        ids = draws.latent(rssm.probabilities(rssm.prior_logits(deter)))
        all_ids.append(ids)
        all_deter.append(deter)
        actions.append(action)
        logits_.append(logits)
        masks.append(available)
    stacked_ids, stacked_deter = torch.stack(all_ids), torch.stack(all_deter)
    pair = (stacked_ids[:-1], stacked_deter[1:])
    return Dream(
        ids=stacked_ids,
        deter=stacked_deter,
        action=torch.stack(actions),
        logits=torch.stack(logits_),
        available=None if model.available is None else torch.stack(masks),
        reward=model.reward(*pair).squeeze(-1),
        continuation=torch.sigmoid(model.continuation(*pair).squeeze(-1)),
    )


def _available(model: WorldModel, ids: Tensor, deter: Tensor, settings: PolicySettings, draws: Draws) -> Tensor | None:
    """Predicted action mask bool [M, N, A]."""
    if model.available is None:
        return None
    probabilities = torch.sigmoid(model.available(ids, deter))
    available = draws.available(probabilities) if settings.available == "sample" else probabilities >= 0.5
    if settings.force_available:
        likeliest = torch.zeros_like(available).scatter_(-1, probabilities.argmax(-1, keepdim=True), True)
        available = available | (likeliest & ~available.any(-1, keepdim=True))
    return available
