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


def episode_returns(
    reward: Tensor, *, ended: Tensor, closing: Tensor, value: Tensor, discount: float, trace: float
) -> Tensor:
    """Lambda-returns [T - 1, ...] along rows of real experience, which may hold several episodes.

    Of the step from each row to the next: what it earned, `reward` [T - 1, ...], and whether nothing can be earned
    after it, `ended`.  Nothing leads from a `closing` row to the next one, so its return is its `value` [T, ...] and no
    more; where an episode was cut by its time limit, or rows end, that stands for what would have followed.
    """
    return lambda_returns(
        torch.where(closing, value[:-1], reward),
        (~(ended | closing)).to(reward.dtype),
        value,
        discount=discount,
        trace=trace,
    )
