"""Actions as tokens: one for an action that is one of some, one of fixed-width bins for each dimension of a vector
(MARIE §3.2, E.1).

Axis legend: P tokens of an action, k dimensions of a continuous one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.policy.distributions import ActionDistribution


def tokens_per_action(actions: ActionDistribution, *, bins: int) -> tuple[int, int]:
    """P, and how many values each of them has."""
    return (actions.mask_size, bins) if actions.shape else (1, actions.mask_size)


def action_tokens(action: Tensor, actions: ActionDistribution, *, bins: int) -> Tensor:
    """Tokens int64 [..., P] of actions int64 [...], or of float [..., k] in [-1, 1]."""
    if not actions.shape:
        return action.unsqueeze(-1)
    return torch.clamp(torch.floor((action + 1) * (bins / 2)), 0, bins - 1).long()
