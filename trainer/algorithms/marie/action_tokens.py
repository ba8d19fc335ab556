"""Actions as tokens: one for an action that is one of some, one of fixed-width bins for each dimension of a vector
(MARIE §3.2, E.1), and both for a row of a mixed team.

Axis legend: P tokens of an action, k dimensions of a continuous one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.policy.distributions import ActionDistribution, ChoiceAndVector


def tokens_per_action(actions: ActionDistribution, *, bins: int) -> tuple[int, int]:
    """P, and how many values each of them has."""
    if isinstance(actions, ChoiceAndVector):
        return 1 + actions.vector.size, max(actions.choice.count, bins)
    return (actions.mask_size, bins) if actions.shape else (1, actions.mask_size)


def action_tokens(action: Tensor, actions: ActionDistribution, *, bins: int) -> Tensor:
    """Tokens int64 [..., P] of actions int64 [...], of float [..., k] in [-1, 1], or of rows [..., 1 + k]."""
    if isinstance(actions, ChoiceAndVector):
        return torch.cat([action[..., :1].long(), _binned(action[..., 1:], bins)], dim=-1)
    return _binned(action, bins) if actions.shape else action.unsqueeze(-1)


def _binned(values: Tensor, bins: int) -> Tensor:
    return torch.clamp(torch.floor((values + 1) * (bins / 2)), 0, bins - 1).long()
