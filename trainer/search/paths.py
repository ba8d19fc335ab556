"""The way from the root to every node of a tree, as one table.

Axis legend: R roots, M nodes, L levels (0 root).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.search.room import filled


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

    def __init__(self, roots: int, nodes: int, device: torch.device, *, looks: bool | None = None) -> None:
        self.looks = device.type == "cpu" if looks is None else looks
        """Whether sizes may depend on numbers; where a look costs a synchronisation, there is room for the worst."""
        levels = min(nodes, 8) if self.looks else nodes
        self.ancestors = filled(roots, nodes, levels, fill=-1, dtype=torch.int32, device=device)  # [R, M, L]
        self.ancestors[:, 0, 0] = 0
        self.depth = torch.zeros(roots, nodes, dtype=torch.int64, device=device)  # [R, M]
        self.root = torch.arange(roots, device=device)
        self.nodes_and_end = nodes + 1
        self.first = self.root * self.nodes_and_end
        """Row of every root's first node in a table [R, M + 1], flat."""
        self.level = torch.arange(nodes, device=device)
        self.place = torch.arange(roots * nodes, device=device).view(roots, nodes)
        """Where a node stands in a table [R, M], flat."""
        self.deepest = 0
        """No node so far is deeper; on an accelerator, none can be."""

    @property
    def beyond(self) -> int:
        """Stands for the end of a path where a node is needed to write to: one row more than there are nodes."""
        return self.ancestors.shape[1]

    def extend(self, parent: Tensor, node: int, there: Tensor | None = None) -> Tensor:
        """Make `node` a child of `parent` [R]; its path int64 [R, L], `beyond` after its end.

        L is the longest path of this node over all roots, or more.  Where it is not `there` (bool [R]; None:
        everywhere), its path has no nodes.
        """
        depth = self.depth.gather(1, parent[:, None]) + 1
        longest = int(depth.max()) if self.looks else node
        self.deepest = max(self.deepest, longest)
        self.ancestors = with_levels(self.ancestors, longest + 1, -1)
        path = self.ancestors.flatten(0, 1).index_select(0, self.first - self.root + parent)
        path.scatter_(1, depth, node)
        if there is not None:
            path.masked_fill_(~there[:, None], -1)
            depth = depth * there[:, None]
        self.ancestors[:, node] = path
        self.depth[:, node] = depth[:, 0]
        path = path[:, : longest + 1].long()
        return path.masked_fill_(path < 0, self.beyond)

    def steps(self, path: Tensor) -> Steps:
        """Of the paths [R, L] to a node."""
        nodes, levels = path.reshape(-1), path.shape[1]
        if self.looks:
            at = (nodes < self.beyond).nonzero()[:, 0]
            nodes = nodes.index_select(0, at)
        else:
            at = torch.arange(path.numel(), device=path.device)
        root = at // levels
        level = torch.sub(at, root, alpha=levels)
        first = root * self.nodes_and_end
        row = first + nodes
        end = first.add_(self.beyond)
        # What stands before a node on this axis is its parent.
        above = torch.where((level == 0) | (row == end), end, row.roll(1))
        return Steps(at=at, root=root, level=level, row=row, above=above)


def with_levels(table: Tensor, levels: int, fill: float, *, dim: int = -1) -> Tensor:
    """A table with room for so many levels along `dim`: itself, or one twice as wide, filled up."""
    if table.shape[dim] >= levels:
        return table
    shape = list(table.shape)
    shape[dim] = max(levels, 2 * shape[dim])
    wider = filled(*shape, fill=fill, dtype=table.dtype, device=table.device)
    wider.narrow(dim, 0, table.shape[dim]).copy_(table)
    return wider
