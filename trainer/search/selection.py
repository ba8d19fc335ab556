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
SMALLEST_WEIGHT = 1e-30
"""In place of 0, so that the prior of no child, -infinity, stays it; far below what a score can hold."""


class Selection:
    """The rule of a search's settings."""

    def __init__(self, settings: SearchSettings, nodes: int, like: Tensor) -> None:
        count = torch.arange(nodes, dtype=torch.float64, device=like.device)
        base = settings.exploration_base
        exploration = ((count + base + 1) / base).log() + settings.exploration_initial
        self._weight = (exploration * count.sqrt()).clamp(min=SMALLEST_WEIGHT).to(like.dtype)  # by visits - 1
        self._score, self._floor = settings.score, settings.advantage_floor

    def scores(self, tree: Tree) -> Tensor:
        """pUCT [K, R, M] of the children of all nodes so far; -infinity where there is no child.

        prior * (c + ln((m + base + 1) / base)) * sqrt(m) / (1 + visits) + advantage, m the visits of all children, and
        the advantage that of `settings.score`.  Below a fresh node m is 0 and all children score the same.  An
        unvisited child's advantage is 0, before scaling.
        """
        size = tree.size
        weight = self._weight[tree.visits[:, :size] - 1]
        advantage = tree.child_advantage[..., :size]
        if self._score == "scaled" and size > 1:
            advantage = scaled(advantage, tree.advantages(), self._floor)
        return torch.addcmul(advantage, tree.prior_per_visit[..., :size], weight)

    def choices(self, tree: Tree, draws: SearchDraws) -> Tensor:
        """The child that each node so far would go to, int64 [R, M]: the best, one of the best if there are several."""
        score = self.scores(tree)
        # 1 where a child is as good as the best and 0 elsewhere; comparisons and masks would take four times as long.
        tied = score.ge_(score.amax(0).sub_(TIE))
        return draws.child(tied.permute(1, 2, 0))


def scaled(advantage: Tensor, visited: Tensor, floor: float) -> Tensor:
    """Advantages [..., R, M] less the least of `visited` [R, M - 1], over their range, clipped to 0..1."""
    least, largest = visited.amin(1, keepdim=True), visited.amax(1, keepdim=True)
    return (advantage - least).div_((largest - least).clamp_(min=floor)).clamp_(0, 1)


def leaf(tree: Tree, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Node and child (both int64 [R]) where following the choices [R, M] from the root ends: a child without visits.

    Each round doubles the steps that are followed.
    """
    size, first = tree.size, tree.paths.root * tree.size  # of each root's nodes so far, flat
    place = torch.add(tree.paths.place[:, :size], chosen, alpha=tree.paths.place.numel())  # in tables [K, R, M]
    onward = tree.child.view(-1).index_select(0, place.view(-1)).view(place.shape)
    onward = onward.add_(first.to(onward.dtype)[:, None]).view(-1)
    for _ in range(tree.paths.deepest.bit_length()):
        onward = onward.index_select(0, onward)
    end = onward.index_select(0, first)
    return end - first, chosen.reshape(-1).index_select(0, end)
