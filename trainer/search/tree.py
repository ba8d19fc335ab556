"""The trees of a search, one for each root, as arrays.

Axis legend: R roots, M nodes (simulations + 1), K samples, N agents, L levels of a path.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.search.children import Children
from trainer.search.paths import Paths
from trainer.search.room import filled, room
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
    actions: Tensor  # int32 [R, M, K, N], of the children
    prior: Tensor  # [K, R, M + 1], beta-hat; -infinity where there is no child
    prior_per_visit: Tensor  # [K, R, M + 1], prior / (1 + visits of the child)
    child: Tensor  # int32 [K, R, M], node number; while unvisited that of the parent, which so leads to itself
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
        self.take_priors(node, children.share, children.valid)
        self.size += 1
        return node

    def take_priors(self, node: int, prior: Tensor, valid: Tensor) -> None:
        """Those of a node's children, [R, K], where they are `valid`, bool likewise."""
        prior = torch.where(valid, prior, -torch.inf).T
        self.prior[..., node] = prior
        self.prior_per_visit[..., node] = prior / (1 + self.child_visits[..., node]) if node < self.size else prior

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
    (roots, nodes), device, dtype = paths.depth.shape, like.device, like.dtype

    def zeros(*shape: int, dtype: torch.dtype = dtype) -> Tensor:
        return filled(*shape, fill=0, dtype=dtype, device=device)

    return Tree(
        hidden=room(nodes, *hidden.shape, dtype=hidden.dtype, device=device),
        actions=zeros(roots, nodes, samples, agents, dtype=torch.int32),
        prior=zeros(samples, roots, nodes + 1),
        prior_per_visit=zeros(samples, roots, nodes + 1),
        child=torch.arange(nodes, dtype=torch.int32, device=device).repeat(samples, roots, 1),
        child_visits=zeros(samples, roots, nodes + 1),
        child_advantage=zeros(samples, roots, nodes + 1),
        visits=zeros(roots, nodes + 1, dtype=torch.int64),
        reward=zeros(roots, nodes + 1),
        prediction=zeros(roots, nodes + 1),
        value=zeros(roots, nodes + 1),
        advantage=zeros(roots, nodes + 1),
        slot=zeros(roots, nodes + 1, dtype=torch.int64),
        width=zeros(roots, dtype=torch.int64),
        paths=paths,
        values=values,
    )
