"""The way from the root to every node of a tree, as one table.

Axis legend: R roots, M nodes, L levels (0 root).
"""

from __future__ import annotations

import torch
from torch import Tensor


class Paths:
    """Node number by node and level.  Nodes are numbered as they are made: 0 root, k the leaf of simulation k.

    Invariants: `ancestors[r, m, depth[r, m]]` is m; before it each node's parent, beyond it -1.
    """

    def __init__(self, roots: int, nodes: int, device: torch.device) -> None:
        # Where a look at the depths costs a synchronisation, there is room for the deepest tree that can be.
        self._looks = device.type == "cpu"
        levels = min(nodes, 8) if self._looks else nodes
        self.ancestors = torch.full((roots, nodes, levels), -1, dtype=torch.int32, device=device)  # [R, M, L]
        self.ancestors[:, 0, 0] = 0
        self.depth = torch.zeros(roots, nodes, dtype=torch.int64, device=device)  # [R, M]
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
        longest = int(depth.max()) if self._looks else node
        self.deepest = max(self.deepest, longest)
        self.ancestors = with_levels(self.ancestors, longest + 1, -1)
        roots, nodes, levels = self.ancestors.shape
        first = torch.arange(0, roots * nodes, nodes, device=parent.device)
        path = self.ancestors.view(-1, levels).index_select(0, first + parent)
        path.scatter_(1, depth, node)
        self.ancestors[:, node] = path
        self.depth[:, node] = depth[:, 0]
        path = path[:, : longest + 1].long()
        return path.masked_fill_(path < 0, self.beyond)


def with_levels(table: Tensor, levels: int, fill: float) -> Tensor:
    """A table [..., L] with room for so many levels: itself, or one twice as wide, filled up."""
    if table.shape[-1] >= levels:
        return table
    wider = table.new_full((*table.shape[:-1], max(levels, 2 * table.shape[-1])), fill)
    wider[..., : table.shape[-1]] = table
    return wider
