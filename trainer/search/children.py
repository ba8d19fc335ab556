"""The children of a node: joint actions drawn from the agents' policies, equal ones merged (Sampled MuZero).

Axis legend: R roots, K samples, N agents, A actions of one agent, W words of a key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

RELEASED_BASE = 23333
"""Of the released key, a number in this base that wraps at 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Children:
    """Distinct joint actions, in the order of their keys; those that merging left over follow, invalid."""

    actions: Tensor  # int64 [R, K, N]
    valid: Tensor  # bool [R, K]
    share: Tensor  # [R, K], beta-hat: the share of the K draws that fell on this joint action; 0 where invalid


def merged(drawn: Tensor, actions: int, *, order: Literal["lexicographic", "wrapped"], dtype: torch.dtype) -> Children:
    """The children of joint actions int64 [R, K, N], each of 0..A-1, drawn with replacement; shares are of `dtype`."""
    keys = lexicographic_keys(drawn, actions) if order == "lexicographic" else wrapped_keys(drawn)
    samples = drawn.shape[1]
    before = torch.zeros(*drawn.shape[:2], samples, dtype=torch.bool, device=drawn.device)  # [R, K, K]
    same = torch.ones_like(before)
    for word in reversed(keys.unbind(-1)):
        equal = word[:, :, None] == word[:, None]
        before = (word[:, None] < word[:, :, None]) | (equal & before)  # [r, i, j]: draw j's key is the smaller
        same &= equal
    number = torch.arange(samples, device=drawn.device)
    repeated = (same & (number < number[:, None])).any(-1)  # [R, K]: an earlier draw is the same
    place = (before & ~repeated[:, None]).sum(-1)
    place = torch.where(repeated, samples, place)  # what repeats an earlier draw goes to a last row, which is dropped
    share = drawn.new_zeros(drawn.shape[0], samples + 1, dtype=dtype)
    share.scatter_(1, place, same.sum(-1, dtype=dtype) / samples)
    ordered = torch.zeros_like(drawn[:, :1]).repeat(1, samples + 1, 1)
    ordered.scatter_(1, place[..., None].expand_as(drawn), drawn)
    share = share[:, :samples]
    return Children(actions=ordered[:, :samples], valid=share > 0, share=share)


def lexicographic_keys(drawn: Tensor, actions: int) -> Tensor:
    """Keys int64 [R, K, W] that order joint actions int64 [R, K, N] agent after agent; as few words as hold them."""
    per_word = max(1, int(63 / math.log2(max(actions, 2))))
    return torch.stack([_number(part, actions) for part in drawn.split(per_word, dim=-1)], dim=-1)


def wrapped_keys(drawn: Tensor) -> Tensor:
    """Keys int64 [R, K, 1] of the released code: they order six agents and more as their overflow has it."""
    return _number(drawn, RELEASED_BASE)[..., None]


def _number(digits: Tensor, base: int) -> Tensor:
    key = torch.zeros_like(digits[..., 0])
    for digit in digits.unbind(-1):
        key = key * base + digit
    return key


def agentwise_probability(probabilities: Tensor, actions: Tensor) -> Tensor:
    """Probability [R, N, K] of each agent's part of joint actions int64 [R, K, N] under its policy [R, N, A]."""
    return probabilities.gather(2, actions.transpose(1, 2))
