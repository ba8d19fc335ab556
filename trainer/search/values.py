"""What a node is worth: OS(lambda) over the returns that went through it, or their plain average (MAZero §4.2).

A simulation gives every node of its path one return: the discounted rewards from there to the leaf, and the leaf's
predicted value at the end.  Its distance is the number of steps between.  A node's own prediction is its return at
distance 0.

Axis legend: R roots, M nodes, P steps of all paths (`paths.Steps`), L levels of a path (0 root), D distances.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from trainer.search.kept import kept_counts
from trainer.search.paths import Paths, Steps, with_levels
from trainer.search.settings import SearchSettings


class Values(Protocol):
    """Keeps the returns of all nodes of a search."""

    def file(self, node: int, steps: Steps, returns: Tensor) -> Tensor:
        """Add the returns [P] along the paths to leaf `node`; the values [P] of the nodes on them, after that.

        Beyond the end of a path both are meaningless.
        """
        ...


def make_values(settings: SearchSettings, paths: Paths, like: Tensor) -> Values:
    """For the trees of `paths`, in the type of `like`."""
    if settings.quantile == 0 and settings.decay == 1:
        return AveragedReturns(paths, like)
    return OptimisticReturns(settings, paths, like)


class AveragedReturns:
    """The average of all returns, from running sums: OS(lambda) with quantile 0 and decay 1."""

    def __init__(self, paths: Paths, like: Tensor) -> None:
        self.total = like.new_zeros(len(paths.depth), paths.beyond + 1)  # [R, M + 1]
        self.count = torch.zeros_like(self.total)

    def file(self, node: int, steps: Steps, returns: Tensor) -> Tensor:
        total, count = self.total.view(-1), self.count.view(-1)
        total.index_add_(0, steps.row, returns)
        count.index_add_(0, steps.row, torch.ones_like(returns))
        return total.index_select(0, steps.row) / count.index_select(0, steps.row)


class OptimisticReturns:
    """OS(lambda).  Of a node's returns at one distance, the largest are averaged, weighted by decay^distance.

    The return of leaf m to its ancestor at level l is `returns[r, l, m]`.  Beside it lies its rank: how many returns
    to the same ancestor, over the same distance, are larger.  Invariant: the ranks of such a set are 0, 1, 2, ...
    without gaps; equal returns are ranked in the order of their arrival.

    A new leaf touches one set for each step of its path, that of its own distance, whose members are the leaves of
    its own depth below the same ancestor.  Their ranks change by a comparison with the new return alone: nothing is
    ever sorted.
    """

    def __init__(self, settings: SearchSettings, paths: Paths, like: Tensor) -> None:
        roots, nodes, levels = paths.ancestors.shape
        self.below = torch.zeros(roots, nodes + 1, nodes, dtype=torch.bool, device=like.device)
        """bool [R, M + 1, M]: the second node is the first or lies below it."""
        self.returns = like.new_zeros(roots, levels, nodes)  # [R, L, M]
        self.rank = torch.zeros(roots, levels, nodes, dtype=torch.int16, device=like.device)  # [R, L, M]
        self.count = torch.zeros(roots, nodes + 1, levels, dtype=torch.int64, device=like.device)  # [R, M + 1, D]
        self.total = like.new_zeros(roots, nodes + 1, levels)  # what those sum to that are kept, [R, M + 1, D]
        # Sums that change by differences, in double precision, where these add up to the last one without a rest.
        self.weighted = torch.zeros(roots, nodes + 1, dtype=torch.float64, device=like.device)
        """sum_d decay^d * total_d, [R, M + 1]"""
        self.weight = torch.zeros_like(self.weighted)
        """sum_d decay^d * (how many are kept), [R, M + 1]"""
        self.kept_of = kept_counts(nodes, settings.quantile, settings.kept).to(like.device)
        self.more_kept = self.kept_of.diff(prepend=self.kept_of.new_zeros(1))  # by the last of so many returns
        self.more_kept[1] = 1
        self.decay = settings.decay ** torch.arange(nodes, dtype=torch.float64, device=like.device)  # [D]
        self._paths = paths

    def file(self, node: int, steps: Steps, returns: Tensor) -> Tensor:
        self._make_room(self._paths.deepest + 1)
        distance = (self._paths.depth[:, node].index_select(0, steps.root) - steps.level).clamp_(min=0)
        place = steps.row * self.count.shape[2] + distance
        counts, totals = self.count.view(-1), self.total.view(-1)
        count = counts.index_select(0, place) + 1
        total = self._rank(node, steps, returns, self.kept_of.index_select(0, count))
        decay = self.decay.index_select(0, distance)
        gained = total.double() - totals.index_select(0, place)
        counts.index_copy_(0, place, count)
        totals.index_copy_(0, place, total)
        weighted, weight = self.weighted.view(-1), self.weight.view(-1)
        weighted.index_add_(0, steps.row, decay * gained)
        weight.index_add_(0, steps.row, decay * self.more_kept.index_select(0, count))
        value = weighted.index_select(0, steps.row) / weight.index_select(0, steps.row)
        return value.to(returns.dtype)

    def _rank(self, node: int, steps: Steps, new: Tensor, kept: Tensor) -> Tensor:
        """Put the returns [P] of leaf `node` among those of their sets; the sum of the `kept` [P] largest of each."""
        depth, nodes = self._paths.depth, self.below.shape[2]
        line = steps.root * self.returns.shape[1] + steps.level  # in tables [R, L, M]
        same_depth = (depth[:, :node] == depth[:, node, None]).index_select(0, steps.root)  # [P, M]
        members = same_depth.logical_and_(self.below.view(-1, nodes)[:, :node].index_select(0, steps.row))
        earlier = self.returns.view(-1, nodes)[:, :node].index_select(0, line)
        larger = members & (earlier >= new[:, None])
        table = self.rank.view(-1, nodes)
        ranks = table[:, :node].index_select(0, line).add_(members ^ larger)
        table[:, :node].index_copy_(0, line, ranks)
        own = larger.sum(1)
        table.view(-1).index_copy_(0, line * nodes + node, own.to(table.dtype))
        self.returns.view(-1).index_copy_(0, line * nodes + node, new)
        self.below.view(-1).index_fill_(0, steps.row * nodes + node, True)
        counted = members & (ranks < kept[:, None].to(ranks.dtype))
        return (earlier * counted).sum(1) + new * (own < kept)

    def _make_room(self, levels: int) -> None:
        self.returns = with_levels(self.returns, levels, 0, dim=1)
        self.rank = with_levels(self.rank, levels, 0, dim=1)
        self.count, self.total = with_levels(self.count, levels, 0), with_levels(self.total, levels, 0)
