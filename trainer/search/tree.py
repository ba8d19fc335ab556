"""The trees of a search, one for each root, as arrays.

Axis legend: R roots, M nodes (simulations + 1), K samples, N agents, L levels of a path.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.search.children import Children
from trainer.search.paths import Paths
from trainer.search.values import Values


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A node to be: one of every root, where there is one."""

    parent: Tensor  # int64 [R]
    slot: Tensor  # int64 [R], which child of it
    hidden: Tensor  # [R, ...]
    reward: Tensor  # [R], of the step to it
    prediction: Tensor  # [R], the model's value
    children: Children
    there: Tensor | None = None  # bool [R]; None: everywhere


@dataclass(kw_only=True)
class Tree:
    """Nodes are numbered as they are made: 0 the root, k the leaf of simulation k, in all trees alike.

    So a slice up to a number is all that there is so far.  Arrays that are written along paths have one node more than
    there are, where writes beyond the end of a path go.  Those of children begin with their axis K: reductions over a
    short last axis are an order slower.
    Invariants: a node's visits are 1 + those of its children; `value` is what `values` makes of the node's returns;
    the advantage is reward + discount * value - its parent's prediction.
    """

    hidden: Tensor  # [M, R, ...], by node first, so that a new node is one block
    actions: Tensor  # int64 [R, M, K, N], of the children
    prior: Tensor  # [K, R, M], beta-hat; -infinity where there is no child
    child: Tensor  # int64 [K, R, M], node number; while unvisited that of the parent, which so leads to itself
    child_visits: Tensor  # [K, R, M + 1]
    child_advantage: Tensor  # [K, R, M + 1], 0 while unvisited
    visits: Tensor  # int64 [R, M + 1]
    reward: Tensor  # [R, M + 1], of the step to the node
    prediction: Tensor  # [R, M + 1], the model's value
    value: Tensor  # [R, M + 1]
    advantage: Tensor  # [R, M + 1], of the step to the node; none for the root
    slot: Tensor  # int64 [R, M + 1], which child of its parent the node is
    paths: Paths
    values: Values
    width: Tensor  # int64 [R], children of the root
    size: int = 0
    """Nodes so far."""
    stand_in: Tensor | None = None
    """int64 [R, M + 1]: a node to look at in place of each; itself, unless that is none.  None: all are there."""

    def add(self, hidden: Tensor, prediction: Tensor, children: Children) -> int:
        """A node with its children, whose number is given back; its step and path are written by who made it."""
        node = self.size
        self.hidden[node] = hidden
        self.prediction[:, node] = prediction
        self.actions[:, node] = children.actions
        self.prior[..., node] = children.share.masked_fill(~children.valid, -torch.inf).T
        self.size += 1
        return node

    def set_aside(self, count: Tensor) -> None:
        """Of the nodes so far, only the first `count` [R] below a root are there; a root without any has the next."""
        number = torch.arange(self.visits.shape[1], device=count.device).expand_as(self.visits)
        missing = (number > count[:, None]) & (number < self.size)
        other = torch.where(count > 0, 1, self.size)[:, None]
        self.stand_in = torch.where(missing, other, number)

    def advantages(self) -> Tensor:
        """[R, M - 1]: of the steps to all nodes so far, in which those that are none add no value of their own."""
        if self.stand_in is None:
            return self.advantage[:, 1 : self.size]
        return self.advantage.gather(1, self.stand_in[:, 1 : self.size])


def empty_tree(hidden: Tensor, samples: int, agents: int, paths: Paths, values: Values, like: Tensor) -> Tree:
    """Room for the nodes of `paths`; hidden states as `hidden` [R, ...], numbers as `like`."""
    (roots, nodes), device = paths.depth.shape, like.device

    def integers(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int64, device=device)

    return Tree(
        hidden=hidden.new_empty(nodes, *hidden.shape),
        actions=integers(roots, nodes, samples, agents),
        prior=like.new_zeros(samples, roots, nodes),
        child=torch.arange(nodes, device=device).repeat(samples, roots, 1),
        child_visits=like.new_zeros(samples, roots, nodes + 1),
        child_advantage=like.new_zeros(samples, roots, nodes + 1),
        visits=integers(roots, nodes + 1),
        reward=like.new_zeros(roots, nodes + 1),
        prediction=like.new_zeros(roots, nodes + 1),
        value=like.new_zeros(roots, nodes + 1),
        advantage=like.new_zeros(roots, nodes + 1),
        slot=integers(roots, nodes + 1),
        width=integers(roots),
        paths=paths,
        values=values,
    )
