"""PPO on imagined trajectories, for actor and attention critic (MAMBA §3.3).

Axis legend: R joint rows (imagined states times horizon, flattened), N agents, K categoricals, G recurrent size,
A entries of an action mask, P outputs of an actor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.policy.actor_critic import AttentionCritic
from trainer.policy.distributions import ActionDistribution
from trainer.policy.returns import lambda_returns
from trainer.policy.settings import PolicySettings
from trainer.world_model.imagination import Dream

ADVANTAGE_EPSILON = 1e-4


@dataclass(frozen=True, kw_only=True)
class PolicyBatch:
    """Imagined joint rows with everything that PPO compares against."""

    ids: Tensor
    """int64 [R, N, K]."""
    deter: Tensor
    """[R, N, G]."""
    action: Tensor
    """[R, N, ...]."""
    available: Tensor | None
    """bool [R, N, A]."""
    old_log_probability: Tensor
    """[R, N] of `action` under the acting policy."""
    returns: Tensor
    """[R, N]."""
    advantage: Tensor
    """[R, N], normalised if the settings say so."""

    def rows(self, index: Tensor) -> PolicyBatch:
        return PolicyBatch(**{name: None if value is None else value[index] for name, value in vars(self).items()})


@torch.no_grad()
def policy_batch(
    dream: Dream, critic: AttentionCritic, settings: PolicySettings, actions: ActionDistribution
) -> PolicyBatch:
    """Returns and advantages of a dream, flattened to joint rows."""
    states, starts = dream.ids.shape[:2]
    value = critic(dream.ids.flatten(0, 1), dream.deter.flatten(0, 1)).unflatten(0, (states, starts))
    reward = dream.reward
    if settings.reward_sharing == "team":
        reward = reward.mean(-1, keepdim=True).expand_as(reward)
    returns = lambda_returns(reward, dream.continuation, value, discount=settings.discount, trace=settings.trace)
    advantage = returns - value[:-1]
    if settings.advantage_normalisation:
        advantage = (advantage - advantage.mean()) / (advantage.std() + ADVANTAGE_EPSILON)
    return PolicyBatch(
        ids=dream.ids[:-1].flatten(0, 1),
        deter=dream.deter[:-1].flatten(0, 1),
        action=dream.action.flatten(0, 1),
        available=None if dream.available is None else dream.available.flatten(0, 1),
        old_log_probability=actions.log_probability(dream.logits, dream.action).flatten(0, 1),
        returns=returns.flatten(0, 1),
        advantage=advantage.flatten(0, 1),
    )


@dataclass(frozen=True, kw_only=True)
class ActorLoss:
    """Scalars; `loss` = `policy` - entropy scale * `entropy`."""

    loss: Tensor
    policy: Tensor
    entropy: Tensor
    clipped: Tensor
    """Share of rows whose ratio left the clip range."""


def actor_loss(
    actor: nn.Module, batch: PolicyBatch, actions: ActionDistribution, *, clip: float, entropy_scale: float
) -> ActorLoss:
    """Clipped surrogate and entropy bonus, averaged over rows and agents."""
    outputs = actions.masked(actor(batch.ids, batch.deter), batch.available)
    ratio = torch.exp(actions.log_probability(outputs, batch.action) - batch.old_log_probability)
    surrogate = torch.minimum(ratio * batch.advantage, ratio.clamp(1 - clip, 1 + clip) * batch.advantage)
    entropy = actions.entropy(outputs).mean()
    policy = -surrogate.mean()
    return ActorLoss(
        loss=policy - entropy_scale * entropy,
        policy=policy,
        entropy=entropy,
        clipped=((ratio - 1).abs() > clip).float().mean(),
    )


def critic_loss(critic: AttentionCritic, batch: PolicyBatch) -> Tensor:
    """Half the mean squared error to the returns; no value clipping, no target network (as the code behaves)."""
    return 0.5 * (batch.returns - critic(batch.ids, batch.deter)).square().mean()
