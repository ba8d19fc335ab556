"""What a leaf's evaluation changes along its path: visits, values, advantages.

Axis legend: R roots, L levels of a path (0 root).
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.search.tree import Tree


def returns_along(tree: Tree, node: int, path: Tensor, discount: float) -> Tensor:
    """Returns [R, L] of leaf `node` to the nodes of its path [R, L]; meaningless after its end.

    At level l the sum of discount^(j - l - 1) * reward_j over the levels j > l, and discount^(depth - l) * value.
    """
    level = torch.arange(path.shape[1], device=path.device)
    steps = level[:, None] - level  # [from level j, to level l]
    weight = discount ** (steps - 1).clamp(min=0).to(tree.value.dtype) * (steps > 0)
    rewards = (tree.reward.gather(1, path)[..., None] * weight).sum(1)
    left = (tree.paths.depth[:, node, None] - level).clamp(min=0)
    return rewards + discount ** left.to(rewards.dtype) * tree.prediction[:, node, None]


def back_up(tree: Tree, node: int, path: Tensor, returns: Tensor, discount: float) -> None:
    """File the returns [R, L] of leaf `node`, and bring up to date whatever hangs on the nodes of its path [R, L]."""
    value = tree.values.file(node, path, returns)
    tree.value.scatter_(1, path, value)
    tree.visits.scatter_add_(1, path, torch.ones_like(value))
    below = path[:, 1:]
    parent = path[:, :-1].masked_fill(below == tree.paths.beyond, tree.paths.beyond)
    advantage = tree.reward.gather(1, below) + discount * value[:, 1:] - tree.prediction.gather(1, parent)
    tree.advantage.scatter_(1, below, advantage)
    place = parent * tree.child_visits.shape[2] + tree.slot.gather(1, below)
    tree.child_advantage.flatten(1).scatter_(1, place, advantage)
    tree.child_visits.flatten(1).scatter_add_(1, place, torch.ones_like(advantage))
