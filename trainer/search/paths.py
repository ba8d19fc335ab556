"""The way from the root to every node of a tree, as one table.

Axis legend: R roots, M nodes, L levels (0 root).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The paths of all roots to one node as a single axis P.  On a CPU nothing on it is beyond the end of a path.

    Rows say where a node's number stands in a table [R, M + 1], flat.
    """

    at: Tensor  # int64 [P], in the paths [R, L], flat
    root: Tensor  # int64 [P]
    level: Tensor  # int64 [P]
    row: Tensor  # int64 [P], of the node
    above: Tensor  # int64 [P], row of its parent; of a root, the end's


class Paths:
    """Node number by node and level.  Nodes are numbered as they are made: 0 root, k the leaf of simulation k.

    Invariants: `ancestors[r, m, depth[r, m]]` is m; before it each node's parent, beyond it -1.
    """

    def __init__(self, roots: int, nodes: int, device: torch.device) -> None:
        self.looks = device.type == "cpu"
        """Whether sizes may depend on numbers; where a look costs a synchronisation, there is room for the worst."""
        levels = min(nodes, 8) if self.looks else nodes
        self.ancestors = torch.full((roots, nodes, levels), -1, dtype=torch.int32, device=device)  # [R, M, L]
        self.ancestors[:, 0, 0] = 0
        self.depth = torch.zeros(roots, nodes, dtype=torch.int64, device=device)  # [R, M]
        self.root = torch.arange(roots, device=device)
        self.level = torch.arange(nodes, device=device)
        self.deepest = 0
        """No node so far is deeper; on an accelerator, none can be."""

    @property
    def beyond(self) -> int:
        """Stands for the end of a path where a node is needed to write to: one row more than there are nodes."""
        return self.ancestors.shape[1]

    def extend(self, parent: Tensor, node: int) -> Tensor:
        """Make `node` a child of `parent` [R]; its path int64 [R, L], `beyond` after its end.

        L is the longest path of this node over all roots, or more.
        """
        depth = self.depth.gather(1, parent[:, None]) + 1
        longest = int(depth.max()) if self.looks else node
        self.deepest = max(self.deepest, longest)
        self.ancestors = with_levels(self.ancestors, longest + 1, -1)
        _, nodes, levels = self.ancestors.shape
        path = self.ancestors.view(-1, levels).index_select(0, self.root * nodes + parent)
        path.scatter_(1, depth, node)
        self.ancestors[:, node] = path
        self.depth[:, node] = depth[:, 0]
        path = path[:, : longest + 1].long()
        return path.masked_fill_(path < 0, self.beyond)

    def steps(self, path: Tensor) -> Steps:
        """Of the paths [R, L] to a node."""
        levels, rows = path.shape[1], self.beyond + 1
        if self.looks:
            at = (path < self.beyond).flatten().nonzero()[:, 0]
        else:
            at = torch.arange(path.numel(), device=path.device)
        row = path + self.root[:, None] * rows
        above = torch.cat([self.root[:, None] * rows + self.beyond, row[:, :-1]], dim=1)
        above = torch.where(path < self.beyond, above, row)
        root = at // levels
        return Steps(at=at, root=root, level=at - root * levels, row=row.view(-1)[at], above=above.view(-1)[at])


def with_levels(table: Tensor, levels: int, fill: float, *, dim: int = -1) -> Tensor:
    """A table with room for so many levels along `dim`: itself, or one twice as wide, filled up."""
    if table.shape[dim] >= levels:
        return table
    shape = list(table.shape)
    shape[dim] = max(levels, 2 * shape[dim])
    wider = table.new_full(shape, fill)
    wider.narrow(dim, 0, table.shape[dim]).copy_(table)
    return wider
