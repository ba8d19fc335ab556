"""How far an imagined or a real future goes, and what it pays until then.

Axis legend: H transitions, [...] any further axes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def survival(continuation: Tensor) -> Tensor:
    """Probability [H, ...] that the state before each transition is not after the end, from those that the future goes
    on after each, [H, ...]; 1 at the first."""
    before = torch.cat([torch.ones_like(continuation[:1]), continuation[:-1]])
    return before.cumprod(0)


def share_after_end(continuation: Tensor, *, weighted: bool) -> Tensor:
    """Of transitions with such continuations [H, ...], those from after the end, scalar; `weighted`: where each counts
    as much as it is likely to be reached."""
    alive = survival(continuation)
    return (alive * (1 - alive)).sum() / alive.sum() if weighted else (1 - alive).mean()


def discounted_return(reward: Tensor, continuation: Tensor, *, discount: float) -> Tensor:
    """[...] of rewards [H, ...]: their sum, each weighted by its discount and by the probability of getting there."""
    weights = discount ** torch.arange(len(reward), dtype=reward.dtype, device=reward.device)
    return torch.einsum("h,h...->...", weights, survival(continuation) * reward)
