"""Lambda-returns (DreamerV2 §3; MAMBA §3.3)."""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_returns(reward: Tensor, continuation: Tensor, value: Tensor, *, discount: float, trace: float) -> Tensor:
    """Returns G [H, ...] of rewards [H, ...], continuation probabilities [H, ...] and values [H + 1, ...].

    G_t = r_t + discount * d_t * ((1 - trace) * V_{t+1} + trace * G_{t+1}), with G_H = V_H.
    """
    following = value[-1]
    returns = []
    for step in reversed(range(reward.shape[0])):
        mixed = (1 - trace) * value[step + 1] + trace * following
        following = reward[step] + discount * continuation[step] * mixed
        returns.append(following)
    return torch.stack(returns[::-1])
