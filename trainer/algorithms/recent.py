"""What was just collected, as a batch for PPO beside what is imagined.

Axis legend: T rows of a window, E copies, N agents, R joint rows at which somebody acted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.experience.earned import acted, returns_of
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.policy.distributions import ActionDistribution
from trainer.policy.imagined import Features
from trainer.policy.ppo import ADVANTAGE_EPSILON, PolicyBatch, weighted_normalised
from trainer.policy.settings import PolicySettings

NEVER_DRAWN = 20.0
"""How much smaller the logarithm of an action's probability is than the likeliest's, if the policy does not draw it: a
normal with three dimensions exceeds it once in 10^8 draws."""


@dataclass(frozen=True, kw_only=True)
class Recent:
    window: Window
    """What is new, and rows that lead up to it."""
    new: Tensor
    """bool [T, E]: which rows are."""

    @property
    def counts(self) -> Tensor:
        """bool [T - 1, E, N]: who acted at a row, if what that led to is new."""
        return acted(self.window) & self.new[1:].unsqueeze(-1)


def recent_experience(replay: Replay, *, leading: int, device: torch.device) -> Recent | None:
    """What has come since this was asked last; None if nobody acted."""
    window, new = replay.unlearned(leading=leading)
    recent = Recent(window=window.to(device), new=new.to(device))
    return recent if len(new) > 1 and recent.counts.any() else None


# Seven parameters: a batch takes what was seen, the networks, and how they learn.
@torch.no_grad()
def experience_batch(
    recent: Recent,
    features: Features,
    *,
    actor: nn.Module,
    value: Callable[..., Tensor],
    settings: PolicySettings,
    actions: ActionDistribution,
    masks: bool,
) -> PolicyBatch:
    """For features [T, E, N, ...] of its rows.

    What was done counts as done by the policy as it is: the networks that acted were its own, before the model learned.
    But whoever acted had other draws of the latents, and where a policy is sharp it would never have done in these what
    it did in those: that teaches nothing, as its weight of importance would say, and counts for nothing.
    """
    window, counts = recent.window, recent.counts
    length, copies = window.first.shape
    values = value(*(feature.flatten(0, 1) for feature in features)).unflatten(0, (length, copies))
    returns = returns_of(
        window, values, discount=settings.discount, trace=settings.trace, sharing=settings.reward_sharing
    )
    chosen = counts.any(-1)  # [T - 1, E]
    rows = tuple(feature[:-1][chosen] for feature in features)
    available = window.action_mask[:-1][chosen] if masks else None
    action, outputs = window.action[1:][chosen], actions.masked(actor(*rows), available)
    done, likeliest = (actions.log_probability(outputs, each) for each in (action, actions.mode(outputs)))
    weight = (counts[chosen] & (likeliest - done < NEVER_DRAWN)).to(returns.dtype)
    advantage = (returns - values[:-1])[chosen]
    if settings.advantage_normalisation:
        advantage = weighted_normalised(advantage, weight, epsilon=ADVANTAGE_EPSILON)
    return PolicyBatch(
        features=rows,
        action=action,
        available=available,
        old_log_probability=done,
        returns=returns[chosen],
        advantage=advantage,
        weight=weight,
    )
