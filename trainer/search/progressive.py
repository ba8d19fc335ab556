"""Joint actions of a root that are drawn in rounds, each agent more of what has gone well so far.

A product of the agents' policies rarely draws what only a team does together.  So the first round's joint actions come
from it, as ever, and those of every later round from policies that are tilted agent by agent: an action gains by the
average scaled advantage of the joint actions that it was part of, over their visits.  That is a factored search for
good joint actions, in the manner of the cross-entropy method.  What all rounds have drawn counts as drawn from the
mixture of their distributions, in priors and importance ratios, so neither depends on how lucky the tilt was.

Axis legend: R roots, K samples, N agents, A actions of one agent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainer.search.children import Children, joined, merged
from trainer.search.draws import SearchDraws
from trainer.search.root_policy import RootChildren, RootPolicy, log_joint, normalised
from trainer.search.root_rule import root_visits
from trainer.search.selection import scaled
from trainer.search.settings import SearchSettings
from trainer.search.tree import Tree


class Rounds:
    """The draws of a search's roots."""

    def __init__(self, settings: SearchSettings, distributions: RootPolicy, draws: SearchDraws) -> None:
        self._settings, self._distributions, self._draws = settings, distributions, draws
        rounds, samples = min(settings.rounds, settings.samples), settings.samples
        ends = [samples * (number + 1) // rounds for number in range(rounds)]
        self._sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
        self._begins = [-(-settings.simulations * number // rounds) for number in range(rounds)]
        self._sampling = [distributions.sampling]

    def first(self) -> RootChildren:
        """The children of the first round."""
        fresh = self._drawn(self._sampling[0])
        padding = self._settings.samples - fresh.actions.shape[1]
        roots, _, agents = fresh.actions.shape
        children = Children(
            actions=torch.cat([fresh.actions, fresh.actions.new_zeros(roots, padding, agents)], dim=1),
            valid=torch.cat([fresh.valid, fresh.valid.new_zeros(roots, padding)], dim=1),
            share=torch.cat([fresh.share, fresh.share.new_zeros(roots, padding)], dim=1),
        )
        return self._weighed(children)

    def due(self, simulations: int) -> bool:
        """Whether another round is to be drawn after so many simulations."""
        return len(self._sampling) < len(self._sizes) and simulations >= self._begins[len(self._sampling)]

    def next(self, tree: Tree, children: Children) -> RootChildren:
        """The children so far, at their places, and those of another round behind them."""
        before = sum(self._sizes[: len(self._sampling)])
        self._sampling.append(self._tilted(tree, children))
        fresh = self._drawn(self._sampling[-1])
        return self._weighed(joined(children, fresh, share=self._size / (before + self._size)))

    @property
    def _size(self) -> int:
        """Of the newest round."""
        return self._sizes[len(self._sampling) - 1]

    def _drawn(self, sampling: Tensor) -> Children:
        drawn = self._draws.actions(sampling, self._size)
        return merged(drawn, sampling.shape[-1], order=self._settings.child_order, dtype=sampling.dtype)

    def _tilted(self, tree: Tree, children: Children) -> Tensor:
        """Policies [R, N, A]: those of the first round, times exp(tilt * (average scaled advantage of an action))."""
        visits = root_visits(tree)
        gain = scaled(tree.child_advantage[..., 0].T, tree.advantages(), self._settings.advantage_floor)
        average = (visits * gain).sum(1, keepdim=True) / visits.sum(1, keepdim=True).clamp(min=1)
        like = self._sampling[0]
        actions = children.actions.transpose(1, 2)  # [R, N, K]
        tried = torch.zeros_like(like).scatter_add_(2, actions, visits[:, None].expand(actions.shape))
        total = torch.zeros_like(like).scatter_add_(
            2, actions, (visits * (gain - average))[:, None].expand(actions.shape)
        )
        return normalised(like * (self._settings.tilt * total / tried.clamp(min=1)).exp())

    def _weighed(self, children: Children) -> RootChildren:
        """Probabilities of the children, as draws from the mixture of all rounds so far."""
        sizes = self._sizes[: len(self._sampling)]
        parts = [
            log_joint(sampling, children.actions) + math.log(size / sum(sizes))
            for sampling, size in zip(self._sampling, sizes, strict=True)
        ]
        beta = torch.stack(parts).logsumexp(0)

        def ratio(probabilities: Tensor) -> Tensor:
            log_ratio = log_joint(probabilities, children.actions) - beta
            return (children.share * log_ratio.exp()).masked_fill(~children.valid, 0.0)

        return RootChildren(
            children=children,
            policy=log_joint(self._distributions.policy, children.actions).exp().masked_fill(~children.valid, 0.0),
            beta=beta.exp().masked_fill(~children.valid, 0.0),
            prior=normalised(ratio(self._distributions.sampling)),
            ratio=ratio(self._distributions.policy),
        )
