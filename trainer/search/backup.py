"""What a leaf's evaluation changes along its path: visits, values, advantages.

Axis legend: R roots, M nodes, K samples, L levels of a path (0 root).
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.search.tree import Tree


class Discounts:
    """Powers of a discount for paths of a search."""

    def __init__(self, discount: float, nodes: int, like: Tensor) -> None:
        level = torch.arange(nodes, dtype=torch.float64, device=like.device)
        steps = level[:, None] - level
        self.one = discount
        self.of = discount**level
        """[L], by number of steps."""
        self.between = discount ** (steps - 1).clamp(min=0) * (steps > 0)
        """[L, L]: of the reward at the first level, in the return of the second, above it."""


def returns_along(tree: Tree, node: int, path: Tensor, discounts: Discounts) -> Tensor:
    """Returns [R, L] of leaf `node` to the nodes of its path [R, L]; meaningless after its end.

    At level l the sum of discount^(j - l - 1) * reward_j over the levels j > l, and discount^(depth - l) * value.
    """
    levels = path.shape[1]
    # In double precision, where no accelerator multiplies with fewer bits.
    rewards = tree.reward.gather(1, path).double() @ discounts.between[:levels, :levels]
    left = (tree.paths.depth[:, node, None] - tree.paths.level[:levels]).clamp_(min=0)
    return (rewards + discounts.of[left] * tree.prediction[:, node, None]).to(tree.value.dtype)


def back_up(tree: Tree, node: int, path: Tensor, returns: Tensor, discounts: Discounts) -> None:
    """File the returns [R, L] of leaf `node`, and bring up to date whatever hangs on the nodes of its path [R, L]."""
    steps = tree.paths.steps(path)
    value = tree.values.file(node, steps, returns.view(-1).index_select(0, steps.at))
    tree.value.view(-1).index_copy_(0, steps.row, value)
    tree.visits.view(-1).index_add_(0, steps.row, torch.ones_like(steps.row))
    reward = tree.reward.view(-1).index_select(0, steps.row)
    prediction = tree.prediction.view(-1).index_select(0, steps.above)
    advantage = torch.add(reward, value, alpha=discounts.one).sub_(prediction)
    tree.advantage.view(-1).index_copy_(0, steps.row, advantage)
    place = tree.slot.view(-1).index_select(0, steps.row) * tree.slot.numel() + steps.above  # in tables [K, R, M + 1]
    tree.child_advantage.view(-1).index_copy_(0, place, advantage)
    visits, priors = tree.child_visits.view(-1), tree.prior.view(-1)
    visited = visits.index_select(0, place).add_(1)
    visits.index_copy_(0, place, visited)
    tree.prior_per_visit.view(-1).index_copy_(0, place, priors.index_select(0, place).div_(visited.add_(1)))
