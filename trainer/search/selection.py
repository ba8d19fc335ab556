"""Which child each node would go to, and the leaf that following them from the root leads to (MAZero eq. 3, 9).

All nodes are scored at once, so nothing depends on how deep the trees are.

Axis legend: R roots, M nodes so far, K samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.search.draws import SearchDraws
from trainer.search.settings import SearchSettings
from trainer.search.tree import Tree

TIE = 1e-6
"""Scores within this of the best are equally good."""


def scores(tree: Tree, settings: SearchSettings) -> Tensor:
    """pUCT [R, M, K] of the children of all nodes so far; -infinity where there is no child.

    prior * (c + ln((m + base + 1) / base)) * sqrt(m) / (1 + visits) + advantage, m the visits of all children, and the
    advantage that of `settings.score`.  Below a fresh node m is 0 and all children score the same.  An unvisited
    child's advantage is 0, before scaling.
    """
    size = tree.size
    count = tree.visits[:, :size] - 1
    base = settings.exploration_base
    weight = (((count + (base + 1)) / base).log() + settings.exploration_initial) * count.sqrt()
    score = tree.prior[:, :size] * weight[..., None] / (1 + tree.child_visits[:, :size])
    advantage = tree.child_advantage[:, :size]
    if settings.score == "scaled":
        advantage = scaled(advantage, tree.advantage[:, 1:size], settings.advantage_floor).clamp_(0, 1)
    return (score + advantage).masked_fill(~tree.valid[:, :size], -torch.inf)


def scaled(advantage: Tensor, visited: Tensor, floor: float) -> Tensor:
    """Advantages [R, M, K] less the least of `visited` [R, M - 1], over their range; as they are if there is none."""
    if visited.shape[1] == 0:
        return advantage.clone()
    least, largest = visited.aminmax(dim=1)
    span = (largest - least).clamp_(min=floor)
    return (advantage - least[:, None, None]) / span[:, None, None]


def choices(tree: Tree, settings: SearchSettings, draws: SearchDraws) -> Tensor:
    """The child that each node so far would go to, int64 [R, M]: the best, ties drawn.

    A root first visits all of its children once, in order.
    """
    score = scores(tree, settings)
    chosen = draws.child(score >= score.amax(-1, keepdim=True) - TIE)
    first = (tree.visits[:, 0] - 1).long()
    chosen[:, 0] = torch.where(first < tree.valid[:, 0].sum(-1), first, chosen[:, 0])
    return chosen


def leaf(tree: Tree, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Node and child (both int64 [R]) where following the choices [R, M] from the root ends: a child without visits.

    Each round doubles the steps that are followed.
    """
    taken = tree.child[:, : tree.size].gather(2, chosen[..., None])[..., 0]
    onward = torch.where(taken < 0, torch.arange(tree.size, device=taken.device), taken)
    for _ in range(tree.paths.deepest.bit_length()):
        onward = onward.gather(1, onward)
    parent = onward[:, 0]
    return parent, chosen.gather(1, parent[:, None])[:, 0]
