"""What a search leaves for the next one, a step later: the part of its tree below the joint action that was taken.

The next search draws its root's children as ever.  Those of them that the last one has tried keep what was found below
them, as if those simulations had been made here, in the same order; everything else is forgotten.  What the model said
of a node stays as it was, since it followed from the state before.

Axis legend: R roots, P nodes of the part (0 the node that is a root now), K samples, N agents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.search.children import Children
from trainer.search.tree import Leaf, Tree


@dataclass(frozen=True, kw_only=True)
class Subtree:
    """Nodes in the order in which they were made; what lies beyond `nodes` of a root means nothing."""

    nodes: Tensor
    """int64 [R]; 0 where there is nothing to go on with."""
    above: Tensor
    """int64 [R, P]: the parent's place in P."""
    slot: Tensor
    """int64 [R, P]: which child of its parent a node is."""
    node_hidden: Tensor
    """[R, P, ...]."""
    node_reward: Tensor
    """[R, P]: of the step to the node."""
    node_prediction: Tensor
    """[R, P]: the model's value."""
    node_actions: Tensor
    """int64 [R, P, K, N]: of its children."""
    node_share: Tensor
    """[R, P, K]: beta-hat of its children; 0 where there is no child."""


def nothing(hidden: Tensor, *, nodes: int, samples: int, agents: int) -> Subtree:
    """For roots whose hidden states and numbers are as `hidden` [R, ...], with room for so many nodes."""
    roots = len(hidden)

    def integers(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int64, device=hidden.device)

    return Subtree(
        nodes=integers(roots),
        above=integers(roots, nodes),
        slot=integers(roots, nodes),
        node_hidden=hidden.new_zeros(roots, nodes, *hidden.shape[1:]),
        node_reward=hidden.new_zeros(roots, nodes),
        node_prediction=hidden.new_zeros(roots, nodes),
        node_actions=integers(roots, nodes, samples, agents),
        node_share=hidden.new_zeros(roots, nodes, samples),
    )


def below(tree: Tree, child: Tensor, room: int) -> Subtree:
    """The part of the trees below the roots' children int64 [R]; its first `room` nodes, where there are more."""
    size, roots = tree.size, tree.paths.root
    start = tree.child[child, roots, 0]  # 0 where the child has no visits
    ancestors, depth = tree.paths.ancestors[:, :size], tree.paths.depth[:, :size]
    inside = torch.zeros_like(depth, dtype=torch.bool)
    if ancestors.shape[2] > 1:
        inside = (ancestors[:, :, 1] == start[:, None]) & (start > 0)[:, None]
    order = _those_first(inside)
    place = torch.zeros_like(order).scatter_(1, order, torch.arange(size, device=order.device).expand_as(order))
    parent = ancestors.gather(2, (depth - 1).clamp(min=0)[..., None])[..., 0].long().clamp(min=0)
    above = place.gather(1, parent).gather(1, order)
    above[:, 0] = 0
    every = roots[:, None]
    prior = tree.prior.permute(1, 2, 0)[every, order]
    whole = Subtree(
        nodes=inside.sum(1),
        above=above,
        slot=tree.slot.gather(1, order),
        node_hidden=tree.hidden[order, every],
        node_reward=tree.reward.gather(1, order),
        node_prediction=tree.prediction.gather(1, order),
        node_actions=tree.actions[every, order].long(),
        node_share=prior.clamp(min=0),
    )
    return _with_room(whole, room)


def regrown(part: Subtree, children: Children, *, looks: bool) -> Iterator[Leaf]:
    """The nodes that `part` knows below the roots' `children`, parents first; one of each root at a time, where there
    is one left.  `looks`: whether their number may depend on what is in the tensors (`paths.Paths`)."""
    kept, slot, parent = _kept(part, children)
    order, count, roots = _those_first(kept), kept.sum(1), torch.arange(len(kept), device=kept.device)
    for number in range(int(count.max()) if looks else kept.shape[1] - 1):
        at, there = (roots, order[:, number]), number < count
        share = part.node_share[at].masked_fill(~there[:, None], 0)
        yield Leaf(
            parent=parent[at].masked_fill(~there, 0),
            slot=slot[at].masked_fill(~there, 0),
            hidden=part.node_hidden[at],
            reward=part.node_reward[at].masked_fill(~there, 0),
            prediction=part.node_prediction[at].masked_fill(~there, 0),
            # Where there is none, nothing leads to its children, but they are scored with all others.
            children=Children(actions=part.node_actions[at], valid=(share > 0) | ~there[:, None], share=share),
            there=there,
        )


def _kept(part: Subtree, children: Children) -> tuple[Tensor, Tensor, Tensor]:
    """Which nodes are kept, bool [R, P]; which child of its parent each is then, and that parent's number, int64."""
    place = torch.arange(part.above.shape[1], device=part.above.device).expand_as(part.above)
    there = (place > 0) & (place < part.nodes[:, None])
    first = there & (part.above == 0)
    roots = torch.arange(len(place), device=place.device)[:, None]
    done = part.node_actions[:, 0][roots, part.slot]  # [R, P, N]
    same = (done[:, :, None] == children.actions[:, None]).all(-1) & children.valid[:, None]  # [R, P, K]
    slot = torch.where(first, same.int().argmax(-1), part.slot)
    onto = torch.where(first, place, part.above.clamp(min=0))  # each node's ancestor among the root's children
    for _ in range(place.shape[1].bit_length()):
        onto = onto.gather(1, onto)
    kept = there & (first & same.any(-1)).gather(1, onto)
    number = kept.cumsum(1)
    return kept, slot, torch.where(first, 0, number.gather(1, part.above))


def _those_first(chosen: Tensor) -> Tensor:
    """Places int64 [R, P] of what is chosen (bool, likewise), in order, then of the rest."""
    return (~chosen).to(torch.uint8).argsort(dim=1, stable=True)


def _with_room(part: Subtree, nodes: int) -> Subtree:
    """So many nodes, the first ones; parents are among them."""
    fields = {name: value for name, value in vars(part).items() if name != "nodes"}
    for name, value in fields.items():
        short = nodes - value.shape[1]
        padding = value.new_zeros(len(value), max(short, 0), *value.shape[2:])
        fields[name] = torch.cat([value[:, :nodes], padding], dim=1)
    return Subtree(nodes=part.nodes.clamp(max=nodes), **fields)
