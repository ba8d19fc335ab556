"""Action masks of imagined states, which a world model predicts.

Axis legend: N agents, A entries of an action mask; [...] any leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.policy.distributions import ActionDistribution, ChoiceAndVector
from trainer.policy.draws import Draws
from trainer.policy.settings import PolicySettings


def imagined_mask(
    probabilities: Tensor, settings: PolicySettings, draws: Draws, *, actions: ActionDistribution
) -> Tensor:
    """bool [..., N, A] of probabilities [..., N, A]."""
    if isinstance(actions, ChoiceAndVector):
        probabilities = actions.of_each_kind(probabilities)
    sampled = settings.available == "sample"
    available = draws.available(probabilities) if sampled else probabilities >= 0.5
    if settings.force_available:
        likeliest = torch.zeros_like(available).scatter_(-1, probabilities.argmax(-1, keepdim=True), True)
        available = available | (likeliest & ~available.any(-1, keepdim=True))
    return available
