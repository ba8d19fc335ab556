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
    if not settings.force_available:
        return available
    if not isinstance(actions, ChoiceAndVector) or not actions.gives_vector:
        return _with_one(available, probabilities)
    # Of its own kind: who gives a vector has one choice always, and who chooses never a dimension.
    gives = torch.tensor(actions.gives_vector, device=available.device).unsqueeze(-1)  # [N, 1]
    parts = [actions.choice.mask_size, actions.vector.mask_size]
    (choices, dimensions), (of_choices, of_dimensions) = available.split(parts, -1), probabilities.split(parts, -1)
    return torch.cat([_with_one(choices, of_choices), gives & _with_one(dimensions, of_dimensions)], dim=-1)


def _with_one(available: Tensor, probabilities: Tensor) -> Tensor:
    """The likeliest is available where nothing else is."""
    likeliest = torch.zeros_like(available).scatter_(-1, probabilities.argmax(-1, keepdim=True), True)
    return available | (likeliest & ~available.any(-1, keepdim=True))
