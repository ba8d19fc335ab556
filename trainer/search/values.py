"""What a node is worth: OS(lambda) over the returns that went through it, or their plain average (MAZero §4.2).

A simulation gives every node of its path one return: the discounted rewards from there to the leaf, and the leaf's
predicted value at the end.  Its distance is the number of steps between.  A node's own prediction is its return at
distance 0.

Axis legend: R roots, M nodes, L levels of a path (0 root), D distances.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from trainer.search.kept import kept_counts
from trainer.search.paths import Paths, with_levels
from trainer.search.settings import SearchSettings


class Values(Protocol):
    """Keeps the returns of all nodes of a search."""

    def file(self, node: int, path: Tensor, returns: Tensor) -> Tensor:
        """Add the returns [R, L] along the path [R, L] of leaf `node`; the values [R, L] of its nodes, after that.

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

    def file(self, node: int, path: Tensor, returns: Tensor) -> Tensor:
        self.total.scatter_add_(1, path, returns)
        self.count.scatter_add_(1, path, torch.ones_like(returns))
        return self.total.gather(1, path) / self.count.gather(1, path)


class OptimisticReturns:
    """OS(lambda).  Of a node's returns at one distance, the largest are averaged, weighted by decay^distance.

    The return of leaf m to its ancestor at level l is `returns[r, m, l]`.  Beside it lies its rank: how many returns
    to the same ancestor, over the same distance, are larger.  Invariant: the ranks of such a set are 0, 1, 2, ...
    without gaps; equal returns are ranked in the order of their arrival.

    A new leaf touches one set for each level of its path, that of its own distance, whose members are the leaves of
    its own depth below the same ancestor.  Their ranks change by a comparison with the new return alone: nothing is
    ever sorted.
    """

    def __init__(self, settings: SearchSettings, paths: Paths, like: Tensor) -> None:
        roots, nodes, levels = paths.ancestors.shape
        self.returns = like.new_zeros(roots, nodes, levels)  # [R, M, L]
        self.rank = torch.zeros(roots, nodes, levels, dtype=torch.int32, device=like.device)  # [R, M, L]
        self.total = like.new_zeros(roots, nodes + 1, levels)  # [R, M + 1, D], of the returns that are kept
        self.count = torch.zeros(roots, nodes + 1, levels, dtype=torch.int64, device=like.device)  # of all, likewise
        self.kept = kept_counts(nodes, settings.quantile, settings.kept).to(like.device)
        self.kept[0] = 0
        self._paths, self._decay = paths, settings.decay

    def file(self, node: int, path: Tensor, returns: Tensor) -> Tensor:
        levels = path.shape[1]
        self._make_room(levels)
        depth = self._paths.depth[:, : node + 1]
        distance = (depth[:, node, None] - torch.arange(levels, device=path.device)).clamp_(min=0)  # [R, L]
        place = path * self.count.shape[-1] + distance  # in the tables by node and distance

        counts, totals = self.count.flatten(1), self.total.flatten(1)
        count = counts.gather(1, place) + 1
        counts.scatter_(1, place, count)

        below = self._paths.ancestors[:, :node, :levels] == path.to(torch.int32)[:, None]  # [R, M, L]
        members = below & (depth[:, :node] == depth[:, node, None])[..., None]
        earlier, rank = self.returns[:, :node, :levels], self.rank[:, :node, :levels]
        larger = members & (earlier >= returns[:, None])
        rank += members ^ larger
        own_rank = larger.sum(1)
        self.returns[:, node, :levels] = returns
        self.rank[:, node, :levels] = own_rank

        kept = self.kept[count]
        total = (earlier * (members & (rank < kept[:, None]))).sum(1) + returns * (own_rank < kept)
        totals.scatter_(1, place, total)
        return self._weighted(path)

    def _weighted(self, path: Tensor) -> Tensor:
        """sum_d decay^d * total_d / sum_d decay^d * kept_d of the nodes of a path, [R, L]."""
        levels = self._paths.deepest + 1  # a path's nodes may have had longer ones
        weights = self._decay ** torch.arange(levels, dtype=self.total.dtype, device=path.device)
        at = (path + torch.arange(len(path), device=path.device)[:, None] * self.total.shape[1]).flatten()
        totals = (self.total.flatten(0, 1)[:, :levels].index_select(0, at) * weights).sum(1)
        counts = (self.kept[self.count.flatten(0, 1)[:, :levels].index_select(0, at)] * weights).sum(1)
        return (totals / counts).view(path.shape)

    def _make_room(self, levels: int) -> None:
        self.returns, self.rank = with_levels(self.returns, levels, 0), with_levels(self.rank, levels, 0)
        self.total, self.count = with_levels(self.total, levels, 0), with_levels(self.count, levels, 0)
