"""How a root divides its simulations among its children, and what of it a policy learns and acts by.

Axis legend: R roots, K samples, S simulations.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from trainer.search.root_policy import RootChildren
from trainer.search.selection import scaled
from trainer.search.settings import SearchSettings
from trainer.search.tree import Tree


class RootRule(Protocol):
    """Stands at the root in place of the rule of all other nodes, or corrects it."""

    def choose(self, tree: Tree, scored: Tensor) -> Tensor:
        """The child of the next simulation, int64 [R]; `scored` [R] is what the rule of other nodes would take."""
        ...

    def improved(self, tree: Tree) -> Tensor:
        """The policy over the children that the search has come to, [R, K]; 0 where there is no child."""
        ...

    def best(self, tree: Tree) -> Tensor:
        """The child to act by, int64 [R]."""
        ...


class VisitsInOrder:
    """As published: each child once, in order, then by score; the policy is the share of the visits."""

    def choose(self, tree: Tree, scored: Tensor) -> Tensor:
        first = tree.size - 1
        return torch.where(first < tree.width, first, scored) if first < len(tree.prior) else scored

    def improved(self, tree: Tree) -> Tensor:
        visits = root_visits(tree)
        return visits / visits.sum(1, keepdim=True).clamp(min=1)

    def best(self, tree: Tree) -> Tensor:
        return root_visits(tree).argmax(1)


class UnvisitedInOrder(VisitsInOrder):
    """The same where children may begin with visits, or come later."""

    def choose(self, tree: Tree, scored: Tensor) -> Tensor:
        untried = (tree.child_visits[..., 0] == 0) & (tree.prior[..., 0] > -torch.inf)
        return torch.where(untried.any(0), untried.int().argmax(0), scored)


class WorthAfterRounds(UnvisitedInOrder):
    """For children that came in rounds: the late ones have few visits, so what is done is what is worth most."""

    def best(self, tree: Tree) -> Tensor:
        return tree.child_advantage[..., 0].T.masked_fill(root_visits(tree) == 0, -torch.inf).argmax(1)


class SequentialHalving:
    """Gumbel MuZero's root (Danihelka et al. 2022, sections 3 and 4), over the children that were drawn.

    A child's rank is Gumbel noise + ln(prior) + sigma(advantage), with sigma(x) = (visits + most visits) * scale *
    scaled(x).  The first ones by rank get equally many visits, then the better half of these, until all simulations are
    used.  The policy is the softmax of ln(prior) + sigma(completed advantage): a child without visits counts as what
    the others are worth on average.
    """

    def __init__(self, settings: SearchSettings, children: RootChildren, gumbel: Tensor, tree: Tree) -> None:
        """For a tree as it is when its simulations begin."""
        self._settings = settings
        self._first, self._before = tree.size, root_visits(tree).clone()
        self._logits = children.prior.log()  # [R, K], -infinity where there is no child
        self._noisy = self._logits + gumbel
        width = children.children.valid.sum(1)
        rows = [halving(min(most, settings.considered), settings.simulations) for most in range(settings.samples + 1)]
        self._wanted = torch.tensor(rows, device=gumbel.device)[width]  # visits of the next child, int64 [R, S]

    def choose(self, tree: Tree, scored: Tensor) -> Tensor:
        wanted = self._own_visits(tree) == self._wanted[:, tree.size - self._first, None]
        rank = self._noisy + self._sigma(tree, tree.child_advantage[..., 0].T)
        return rank.masked_fill(~wanted, -torch.inf).argmax(1)

    def improved(self, tree: Tree) -> Tensor:
        return (self._logits + self._sigma(tree, self._completed(tree))).softmax(1)

    def best(self, tree: Tree) -> Tensor:
        visits = self._own_visits(tree)
        rank = self._noisy + self._sigma(tree, tree.child_advantage[..., 0].T)
        return rank.masked_fill(visits < visits.amax(1, keepdim=True), -torch.inf).argmax(1)

    def _own_visits(self, tree: Tree) -> Tensor:
        return root_visits(tree) - self._before

    def _completed(self, tree: Tree) -> Tensor:
        """Advantages [R, K], of children without visits the average of the others and of the prediction (eq. 33)."""
        visits, advantage = root_visits(tree), tree.child_advantage[..., 0].T
        prior = self._logits.exp() * (visits > 0)
        average = (prior * advantage).sum(1) / prior.sum(1).clamp(min=1e-30)
        simulations = visits.sum(1)
        mixed = average * simulations / (1 + simulations)
        return torch.where(visits > 0, advantage, mixed[:, None])

    def _sigma(self, tree: Tree, advantage: Tensor) -> Tensor:
        settings = self._settings
        if tree.size == 1:
            return torch.zeros_like(advantage)
        most = root_visits(tree).amax(1, keepdim=True)
        share = scaled(advantage, tree.advantages(), settings.advantage_floor)
        return (settings.halving_visits + most) * settings.halving_scale * share


def halving(considered: int, simulations: int) -> list[int]:
    """For each simulation, how many visits the child that gets it has so far.

    Each phase gives every child that is left as many visits as there are simulations for it if all phases share them
    equally, one at least; then half of them are left, two at least.
    """
    if considered <= 1:
        return list(range(simulations))
    phases = math.ceil(math.log2(considered))
    visits, left, wanted = [0] * considered, considered, list[int]()
    while len(wanted) < simulations:
        for _ in range(max(1, simulations // (phases * left))):
            wanted += visits[:left]
            visits[:left] = [count + 1 for count in visits[:left]]
        left = max(2, left // 2)
    return wanted[:simulations]


def root_visits(tree: Tree) -> Tensor:
    """Of the children of the roots, [R, K]."""
    return tree.child_visits[..., 0].T
