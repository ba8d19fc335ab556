"""The children of a node: joint actions drawn from the agents' policies, equal ones merged (Sampled MuZero).

Axis legend: R roots, K samples, N agents, A actions of one agent, W words of a key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

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
    sorting, differs = sorted_keys(keys)
    ordered = torch.zeros_like(sorting)
    torch.cumsum(differs, 1, out=ordered[:, 1:])
    place = torch.empty_like(sorting).scatter_(1, sorting, ordered)  # of each draw among the distinct ones
    share = drawn.new_zeros(place.shape, dtype=dtype)
    share.scatter_add_(1, place, share.new_full((1, 1), 1 / drawn.shape[1]).expand_as(share))
    distinct = torch.zeros_like(drawn).scatter_(1, place[..., None].expand_as(drawn), drawn)
    return Children(actions=distinct, valid=share > 0, share=share)


def joined(children: Children, fresh: Children, *, share: float) -> Children:
    """`children` at their places, and behind them those of `fresh` that are not among them; K is enough for all.

    `share` is that of the fresh draws in all of them.
    """
    same = (fresh.actions[:, :, None] == children.actions[:, None]).all(-1)  # [R, fresh K, K]
    same &= fresh.valid[..., None] & children.valid[:, None]
    known = same.any(-1)
    new = fresh.valid & ~known
    place = torch.where(known, same.int().argmax(-1), children.valid.sum(1, keepdim=True) + new.cumsum(1) - 1)
    # What is no child of `fresh` is written nowhere: to a place behind the last one.
    samples = children.actions.shape[1]
    place = torch.where(fresh.valid, place, samples)
    actions, shares = functional.pad(children.actions, (0, 0, 0, 1)), functional.pad(children.share, (0, 1))
    actions = actions.scatter(1, place[..., None].expand_as(fresh.actions), fresh.actions)[:, :samples]
    shares = ((1 - share) * shares).scatter_add(1, place, share * fresh.share)[:, :samples]
    return Children(actions=actions, valid=shares > 0, share=shares)


def sorted_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The order int64 [R, K] of keys [R, K, W], and where in it a key differs from the one before, [R, K - 1]."""
    last, sorting = keys[..., -1].sort(dim=1, stable=True)
    differs = last[:, 1:] != last[:, :-1]
    for word in reversed(keys[..., :-1].unbind(-1)):
        sorting = sorting.gather(1, word.gather(1, sorting).argsort(stable=True, dim=1))
    if keys.shape[-1] > 1:
        ordered = keys.gather(1, sorting[..., None].expand_as(keys))
        differs = (ordered[:, 1:] != ordered[:, :-1]).any(-1)
    return sorting, differs


def lexicographic_keys(drawn: Tensor, actions: int) -> Tensor:
    """Keys int64 [R, K, W] that order joint actions int64 [R, K, N] agent after agent; as few words as hold them."""
    per_word = max(1, int(63 / math.log2(max(actions, 2))))
    return torch.stack([_number(part, actions) for part in drawn.split(per_word, dim=-1)], dim=-1)


def wrapped_keys(drawn: Tensor) -> Tensor:
    """Keys int64 [R, K, 1] of the released code: they order six agents and more as their overflow has it."""
    return _number(drawn, RELEASED_BASE)[..., None]


def _number(digits: Tensor, base: int) -> Tensor:
    key = digits[..., 0]
    for digit in digits.unbind(-1)[1:]:
        key = key * base + digit
    return key


def agentwise_probability(probabilities: Tensor, actions: Tensor) -> Tensor:
    """Probability [R, N, K] of each agent's part of joint actions int64 [R, K, N] under its policy [R, N, A]."""
    return probabilities.gather(2, actions.transpose(1, 2))
