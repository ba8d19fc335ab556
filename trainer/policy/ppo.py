"""PPO for actor and critic: the losses, on imagined and on real data, and the batch of an imagined rollout.

Axis legend: R joint rows (imagined states times horizon, flattened), N agents, A entries of an action mask, P outputs
of an actor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from trainer.policy.distributions import ActionDistribution
from trainer.policy.imagined import Features, ImaginedRollout
from trainer.policy.returns import lambda_returns
from trainer.policy.settings import PolicySettings
from trainer.policy.survival import survival
from trainer.ranks.group import ranks

ADVANTAGE_EPSILON = 1e-4
WEIGHT_EPSILON = 1e-6

# Two probabilities may differ by any factor where an action lies far out.  e^89 is infinite in float32, and what is
# clipped then has a gradient of 0 times infinity.
LARGEST_LOG_RATIO = 20.0


@dataclass(frozen=True, kw_only=True)
class PolicyLoss:
    """Scalars; `loss` = `policy` - entropy scale * `entropy`."""

    loss: Tensor
    policy: Tensor
    entropy: Tensor
    clipped: Tensor
    """Share of decisions whose ratio left the clip range."""
    entropy_share: Tensor | None = None
    """`entropy` as a share of the largest that there could be; None where nobody asked."""

    def metrics(self) -> dict[str, float]:
        return {
            "policy/entropy": float(self.entropy.detach()),
            "policy/surrogate": float(self.policy.detach()),
            "policy/clipped": float(self.clipped),
        } | ({} if self.entropy_share is None else {"policy/entropy_share": float(self.entropy_share)})


def probability_ratio(now: Tensor, old: Tensor) -> Tensor:
    """How much likelier what was done is now, of log-probabilities: at most e^20, beyond which it has no gradient."""
    return torch.exp((now - old).clamp(max=LARGEST_LOG_RATIO))


# Seven parameters: the terms of PPO's loss, each by its name.
def policy_loss(
    now: Tensor,
    old: Tensor,
    *,
    advantage: Tensor,
    entropy: Tensor,
    clip: float,
    entropy_scale: float,
    weight: Tensor | None = None,
) -> PolicyLoss:
    """Clipped surrogate and entropy bonus, averaged over decisions [...].

    `now` and `old` are log-probabilities of what was done, by the policy that learns and the one that acted; `weight`
    is what a decision counts for (None: all the same).
    """
    ratio = probability_ratio(now, old)
    policy = -mean(torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage), weight)
    mean_entropy = mean(entropy, weight)
    return PolicyLoss(
        loss=policy - entropy_scale * mean_entropy,
        policy=policy,
        entropy=mean_entropy,
        clipped=mean(((ratio.detach() - 1).abs() > clip).float(), weight),
    )


def value_loss(value: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Half the mean squared error; no value clipping, no target network (as the code behaves)."""
    return 0.5 * mean((target - value).square(), weight)


def mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Of values [...], each of which counts for its weight [...]."""
    return values.mean() if weight is None else (values * weight).sum() / weight.sum().clamp(min=WEIGHT_EPSILON)


def normalised(advantage: Tensor, *, over: Tensor, epsilon: float) -> Tensor:
    """Advantages less the mean, in units of the deviation, of `over` on all ranks."""
    if ranks().count == 1:
        return (advantage - over.mean()) / (over.std() + epsilon)
    count = over.new_tensor(float(over.numel()))
    sums = torch.stack([over.sum(), over.square().sum()])  # of a rank that has nothing: zeros, which count for nothing
    (middle, square), total = ranks().weighted_mean(sums / count.clamp(min=1), count)
    variance = (square - middle.square()).clamp(min=0) * total / (total - 1).clamp(min=1)
    found: Tensor = (advantage - middle) / (variance.sqrt() + epsilon)
    return found


def weighted_normalised(advantage: Tensor, weight: Tensor, *, epsilon: float) -> Tensor:
    """Advantages [...] less their mean, in units of their deviation, each counting for its weight [...]; those of all
    ranks together."""
    weighs = weight.sum()
    middle = ranks().weighted_mean(mean(advantage, weight), weighs)[0]
    variance = ranks().weighted_mean(mean((advantage - middle).square(), weight), weighs)[0]
    return (advantage - middle) / (variance.sqrt() + epsilon)


@dataclass(frozen=True, kw_only=True)
class PolicyBatch:
    """Imagined joint rows with everything that PPO compares against (MAMBA §3.3)."""

    features: Features
    """[R, N, ...] each: what actor and critic read."""
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
    weight: Tensor | None = None
    """[R, N]: what a decision counts for; None: all the same."""

    def rows(self, index: Tensor) -> PolicyBatch:
        """Some of them, int64 [...]."""
        return PolicyBatch(
            features=tuple(feature[index] for feature in self.features),
            action=self.action[index],
            available=None if self.available is None else self.available[index],
            old_log_probability=self.old_log_probability[index],
            returns=self.returns[index],
            advantage=self.advantage[index],
            weight=None if self.weight is None else self.weight[index],
        )


@torch.no_grad()
def policy_batch(
    rollout: ImaginedRollout, critic: Callable[..., Tensor], settings: PolicySettings, actions: ActionDistribution
) -> PolicyBatch:
    """Returns and advantages of an imagined rollout, flattened to joint rows.

    `critic` gives values [M, N] of features, on the scale of the rewards.
    """
    states, starts = rollout.features[0].shape[:2]
    value = critic(*(feature.flatten(0, 1) for feature in rollout.features)).unflatten(0, (states, starts))
    reward = rollout.reward
    if settings.reward_sharing == "team":
        reward = reward.mean(-1, keepdim=True).expand_as(reward)
    returns = lambda_returns(reward, rollout.continuation, value, discount=settings.discount, trace=settings.trace)
    advantage = returns - value[:-1]
    weight = survival(rollout.continuation) if settings.survival_weighting else None
    if settings.advantage_normalisation:
        if weight is None:
            advantage = normalised(advantage, over=advantage, epsilon=ADVANTAGE_EPSILON)
        else:
            advantage = weighted_normalised(advantage, weight, epsilon=ADVANTAGE_EPSILON)
    return PolicyBatch(
        features=tuple(feature[:-1].flatten(0, 1) for feature in rollout.features),
        action=rollout.action.flatten(0, 1),
        available=None if rollout.available is None else rollout.available.flatten(0, 1),
        old_log_probability=actions.log_probability(rollout.logits, rollout.action).flatten(0, 1),
        returns=returns.flatten(0, 1),
        advantage=advantage.flatten(0, 1),
        weight=None if weight is None else weight.flatten(0, 1),
    )


def actor_loss(
    actor: nn.Module, batch: PolicyBatch, actions: ActionDistribution, *, clip: float, entropy_scale: float
) -> PolicyLoss:
    """Of an actor that gives outputs [R, N, P] of features."""
    outputs = actions.masked(actor(*batch.features), batch.available)
    entropy = actions.entropy(outputs)
    loss = policy_loss(
        actions.log_probability(outputs, batch.action),
        batch.old_log_probability,
        advantage=batch.advantage,
        entropy=entropy,
        clip=clip,
        entropy_scale=entropy_scale,
        weight=batch.weight,
    )
    largest = mean(actions.largest_entropy(outputs), batch.weight).clamp(min=WEIGHT_EPSILON)
    return replace(loss, entropy_share=loss.entropy.detach() / largest)


def critic_loss(critic: nn.Module, batch: PolicyBatch) -> Tensor:
    """Of the values to the returns, both on the scale of the critic."""
    return value_loss(critic(*batch.features), batch.returns, batch.weight)
