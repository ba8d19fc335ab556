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
from trainer.search.room import filled
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

    The return of leaf m to its ancestor at level l is `returns[r, l, m + 1]`.  Beside it lies, as one number, which set
    it belongs to, that is which ancestor's and of which distance, and in the last bit whether it is kept there.
    Invariant: no return of a set that is left out is larger than one that is kept.

    A new leaf adds one return to one set for each step of its path.  Where its set keeps one more, that is the new
    return or the largest that was left out; else the new one takes the place of the least kept if it is larger.  So one
    look for a largest or a least one is all that a step takes, and nothing is sorted.
    """

    def __init__(self, settings: SearchSettings, paths: Paths, like: Tensor) -> None:
        roots, nodes, levels = paths.ancestors.shape
        self.returns = filled(roots, levels, nodes + 1, fill=0, dtype=like.dtype, device=like.device)
        """[R, L, 1 + M]; the first of the last axis is nobody's, so that there is one to look at from the start."""
        self.sets = filled(roots, levels, nodes + 1, fill=-2, dtype=torch.int32, device=like.device)
        """int32 [R, L, 1 + M]: 2 * (ancestor + (M + 1) * depth of the leaf) + (1 if kept)."""
        self.count = filled(roots, nodes + 1, levels, fill=0, dtype=torch.int32, device=like.device)  # [R, M + 1, D]
        # Sums that change by differences, in double precision, where these add up to the last one without a rest.
        self.weighted = torch.zeros(roots, nodes + 1, dtype=torch.float64, device=like.device)
        """sum_d decay^d * (sum of those kept), [R, M + 1]"""
        self.weight = torch.zeros_like(self.weighted)
        """sum_d decay^d * (how many are kept), [R, M + 1]"""
        self.kept_of = kept_counts(nodes, settings.quantile, settings.kept).to(like.device)
        self.grows = self.kept_of.diff(prepend=self.kept_of.new_zeros(1)).int()
        """int32 [M + 1]: 1 if a set of so many returns keeps one more than it did before the last of them, else 0."""
        self.grows[1] = 1
        self.decay = settings.decay ** torch.arange(nodes, dtype=torch.float64, device=like.device)  # [D]
        self._paths = paths

    def file(self, node: int, steps: Steps, returns: Tensor) -> Tensor:
        self._make_room(self._paths.deepest + 1)
        depth = self._paths.depth[:, node]
        distance = depth.index_select(0, steps.root).sub_(steps.level).clamp_(min=0)
        place, counts = torch.add(distance, steps.row, alpha=self.count.shape[2]), self.count.view(-1)
        count = counts.index_select(0, place).add_(1)
        counts.index_copy_(0, place, count)
        grows = self.grows.index_select(0, count)
        # Rows to node numbers, and the leaf's depth, at once.
        number = depth * self._paths.nodes_and_end - self._paths.first
        gained = self._keep(node, steps, returns, grows, number.index_select(0, steps.root).add_(steps.row))
        decay = self.decay.index_select(0, distance)
        weighted, weight = self.weighted.view(-1), self.weight.view(-1)
        weighted.index_add_(0, steps.row, gained.mul_(decay))
        weight.index_add_(0, steps.row, decay.mul_(grows))
        return (weighted.index_select(0, steps.row) / weight.index_select(0, steps.row)).to(returns.dtype)

    # Six parameters: a leaf, its path, and what is known of each step of it.
    def _keep(self, node: int, steps: Steps, new: Tensor, grows: Tensor, number: Tensor) -> Tensor:
        """Put the returns `new` [P] of leaf `node` among those of the sets of these numbers, int64 [P]; what that adds
        to the sum of those kept, float64 [P].  `grows`, int32 [P], is 1 where one more is kept."""
        width = self.returns.shape[2]
        line = torch.add(steps.level, steps.root, alpha=self.returns.shape[1])  # in tables [R, L, 1 + M]
        # What to look among: those that were left out if one more is kept, else those that are kept.
        wanted = number.to(torch.int32).mul_(2).add_(1).sub_(grows)
        sets, returns = self.sets.view(-1, width), self.returns.view(-1, width)
        # Numbers 0 and 1, since masks would take three times as long.
        others = sets[:, : node + 1].index_select(0, line).ne_(wanted[:, None]).to(new.dtype)
        sign = (grows * 2).sub_(1)
        upwards = sign.to(new.dtype)
        earlier = returns[:, : node + 1].index_select(0, line).mul_(upwards[:, None])
        extreme, at = earlier.sub_(others, alpha=torch.finfo(new.dtype).max / 4).max(1)
        other = extreme.mul_(upwards)
        better = (new > other).to(torch.int32)
        line.mul_(width)
        sets, returns = sets.view(-1), returns.view(-1)
        sets.index_add_(0, at.add_(line), (better ^ grows).mul_(sign))
        line.add_(node + 1)
        sets.index_copy_(0, line, wanted.add_(grows).add_(better - 1))
        returns.index_copy_(0, line, new)
        other = other.double()
        return torch.maximum(new, other).sub_(other.masked_fill_(grows.bool(), 0.0))

    def kept(self, root: int, level: int) -> Tensor:
        """Which leaves' returns to their ancestors at a level are kept, bool [M]."""
        return self.sets[root, level, 1:] % 2 == 1

    def _make_room(self, levels: int) -> None:
        self.returns, self.sets = with_levels(self.returns, levels, 0, dim=1), with_levels(self.sets, levels, -2, dim=1)
        self.count = with_levels(self.count, levels, 0)
