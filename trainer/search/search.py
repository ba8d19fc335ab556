"""Sampled tree search over many roots at once, with one call of the model per simulation (MAZero §4.2).

Axis legend: R roots, M nodes, K samples, N agents, A actions of one agent, L levels of a path (0 root).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.search.backup import Discounts, back_up, returns_along
from trainer.search.checks import check_finite, check_root
from trainer.search.children import Children, merged
from trainer.search.draws import SearchDraws
from trainer.search.model import Expansion, Model, Root
from trainer.search.paths import Paths
from trainer.search.progressive import Rounds
from trainer.search.reuse import Subtree, below, regrown
from trainer.search.root_policy import normalised, root_children, root_policy, within
from trainer.search.root_rule import (
    RootRule,
    SequentialHalving,
    UnvisitedInOrder,
    VisitsInOrder,
    WorthAfterRounds,
    root_visits,
)
from trainer.search.selection import Selection, leaf
from trainer.search.settings import SearchSettings
from trainer.search.tree import Leaf, empty_tree
from trainer.search.values import make_values


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found at its roots.  Children are in the order of their first visits; 0 where there is none."""

    actions: Tensor  # int64 [R, K, N]
    valid: Tensor  # bool [R, K]
    visits: Tensor  # int64 [R, K]; they sum to the number of simulations
    q: Tensor  # [R, K], reward + discount * value of the child; 0 while unvisited, as released
    improved: Tensor  # [R, K], the policy that the search has come to: visits / simulations, or that of halving
    best: Tensor
    """int64 [R], the child to act by: the most visited, the first of equals; that of halving; or after rounds of draws
    the one that is worth most."""
    value: Tensor  # [R], of the root
    prediction: Tensor  # [R], the model's value of the root
    reward: Tensor  # [R, K], of the step to a visited child
    child_value: Tensor  # [R, K], of a visited child
    child_prediction: Tensor  # [R, K], the model's value of a visited child
    policy: Tensor  # [R, K], probability of the joint action under the model's masked policy
    beta: Tensor  # [R, K], under the distribution that it was drawn from
    share: Tensor  # [R, K], beta-hat
    prior: Tensor  # [R, K]
    ratio: Tensor  # [R, K], beta-hat / beta * policy


# Six parameters: where to begin, what to ask, how, by which numbers, and what is known from before.
def search(
    root: Root,
    model: Model,
    settings: SearchSettings,
    draws: SearchDraws,
    *,
    noise: bool = True,
    known: Subtree | None = None,
) -> SearchResult:
    """Plan from every root; `noise` mixes Dirichlet noise into what the roots' joint actions are drawn from.

    With fewer distinct joint actions than samples there are fewer children, and with fewer simulations than children
    some have no visits.  Raises TrainingError, with the root named, where a root has no legal action or the model
    gives a number that is not finite.
    """
    return Search(root, model, settings, draws, noise=noise, known=known).run().result()


class Search:
    """A search that can be followed simulation by simulation, or gone on with a step later; `search` runs one."""

    # Six parameters, those of `search`.
    @torch.inference_mode()
    def __init__(
        self,
        root: Root,
        model: Model,
        settings: SearchSettings,
        draws: SearchDraws,
        *,
        noise: bool = True,
        known: Subtree | None = None,
    ) -> None:
        check_root(root)
        self._root, self._model, self.settings, self._draws = root, model, settings, draws
        room = 0 if known is None else known.above.shape[1]
        nodes, (roots, agents, _) = settings.simulations + room + 1, root.logits.shape
        paths = Paths(roots, nodes, root.value.device)
        values = make_values(settings, paths, root.value)
        self.tree = empty_tree(root.hidden, settings.samples, agents, paths, values, root.value)
        self.selection = Selection(settings, nodes, root.value)
        self.policy = root_policy(root, settings, draws, noise=noise)
        self._rounds = Rounds(settings, self.policy, draws) if settings.sampling == "progressive" else None
        if self._rounds is None:
            self.children = root_children(self.policy, self._children(self.policy.sampling))
        else:
            self.children = self._rounds.first()
        node = self.tree.add(root.hidden, root.value, self.children.children)
        self._take_children()
        self.path = torch.zeros(roots, 1, dtype=torch.int64, device=root.value.device)
        """Of the newest node, int64 [R, L], `paths.beyond` after its end."""
        self.returns = root.value[:, None]
        """Along it, [R, L]; meaningless after its end."""
        self._discounts = Discounts(settings.discount, nodes, root.value)
        back_up(self.tree, node, self.path, self.returns, self._discounts)
        self._sums = torch.zeros_like(self.tree.prediction)
        """Of all logits of a node, [R, M + 1]; not finite where one of them is not."""
        if known is not None:
            self._take_over(known)
        self._first = self.tree.size
        self.rule = self._root_rule(noise=noise)

    @torch.inference_mode()
    def simulate(self) -> Expansion:
        """Select a leaf in each tree, let the model evaluate them all at once, back up."""
        tree, settings = self.tree, self.settings
        if self._rounds is not None and self._rounds.due(tree.size - self._first):
            self.children = self._rounds.next(tree, self.children.children)
            self._take_children()
        chosen = self.selection.choices(tree, self._draws)
        chosen[:, 0] = self.rule.choose(tree, chosen[:, 0])
        parent, slot = leaf(tree, chosen)
        roots = tree.paths.root
        hidden = tree.hidden.flatten(0, 1).index_select(0, parent * len(roots) + roots)
        action = tree.actions.flatten(0, 2).index_select(
            0, (roots * tree.actions.shape[1] + parent) * settings.samples + slot
        )
        found = self._model.step(hidden, action.long())
        self._sums[:, tree.size] = found.logits.sum((1, 2))
        # Softmax, written out: over a short last axis torch's kernel takes four times as long.
        policy = normalised((found.logits - found.logits.amax(-1, keepdim=True)).exp_())
        if settings.masks == "whole-tree":
            policy = within(policy, self._root.legal, settings.legal_floor)
        children = self._children(policy)
        self._grow(
            Leaf(
                parent=parent,
                slot=slot,
                hidden=found.hidden,
                reward=found.reward,
                prediction=found.value,
                children=children,
            )
        )
        return found

    def run(self) -> Search:
        """Make the simulations that are left."""
        while self.tree.size - self._first < self.settings.simulations:
            self.simulate()
        return self

    def below(self, child: Tensor) -> Subtree:
        """What is known below the roots' children int64 [R], for searches from where these have led to."""
        with torch.inference_mode():
            part = below(self.tree, child, self.settings.simulations)
        return Subtree(**{name: value.clone() for name, value in vars(part).items()})

    def _take_children(self) -> None:
        """Put the root's children, as they are now, into the tree."""
        tree, children = self.tree, self.children.children
        tree.actions[:, 0] = children.actions
        tree.take_priors(0, self.children.prior, children.valid)
        tree.width = children.valid.sum(1)

    def _take_over(self, known: Subtree) -> None:
        tree = self.tree
        for node in regrown(known, self.children.children, looks=tree.paths.looks):
            self._grow(node)
        tree.set_aside((tree.paths.depth[:, : tree.size] > 0).sum(1))

    def _root_rule(self, *, noise: bool) -> RootRule:
        if self.settings.root == "halving":
            gumbel = self._draws.gumbel(self.children.prior)
            gumbel = gumbel if noise else torch.zeros_like(gumbel)
            return SequentialHalving(self.settings, self.children, gumbel, self.tree)
        if self._rounds is not None:
            return WorthAfterRounds()
        return VisitsInOrder() if self._first == 1 else UnvisitedInOrder()

    def _grow(self, new: Leaf) -> None:
        """Add a node to each tree, and back it up."""
        tree, roots = self.tree, self.tree.paths.root
        node = tree.add(new.hidden, new.prediction, new.children)
        tree.reward[:, node] = new.reward
        tree.slot[:, node] = new.slot
        place = new.slot, roots, new.parent
        tree.child[place] = node if new.there is None else torch.where(new.there, node, tree.child[place])
        self.path = tree.paths.extend(new.parent, node, new.there)
        self.returns = returns_along(tree, node, self.path, self._discounts)
        back_up(tree, node, self.path, self.returns, self._discounts)

    def result(self) -> SearchResult:
        """Of the simulations so far."""
        # Copies, since tensors of an inference are of no use in a loss.
        return SearchResult(**{name: value.clone() for name, value in self._found().items()})

    @torch.inference_mode()
    def _found(self) -> dict[str, Tensor]:
        tree, children = self.tree, self.children
        check_finite(tree.reward + tree.prediction + self._sums)
        node = tree.child[..., 0].T.long()

        def of_child(table: Tensor) -> Tensor:
            return table.gather(1, node).masked_fill(node == 0, 0)

        reward, value = of_child(tree.reward), of_child(tree.value)
        return {
            "actions": tree.actions[:, 0].long(),
            "valid": children.children.valid,
            "visits": root_visits(tree).long(),
            "q": reward + self.settings.discount * value,
            "improved": self.rule.improved(tree),
            "best": self.rule.best(tree),
            "value": tree.value[:, 0],
            "prediction": tree.prediction[:, 0],
            "reward": reward,
            "child_value": value,
            "child_prediction": of_child(tree.prediction),
            "policy": children.policy,
            "beta": children.beta,
            "share": children.children.share,
            "prior": children.prior,
            "ratio": children.ratio,
        }

    def _children(self, policy: Tensor) -> Children:
        drawn = self._draws.actions(policy, self.settings.samples)
        return merged(drawn, policy.shape[-1], order=self.settings.child_order, dtype=policy.dtype)
