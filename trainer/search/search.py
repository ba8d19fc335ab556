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
from trainer.search.root_policy import normalised, root_children, root_policy, within
from trainer.search.root_rule import RootRule, SequentialHalving, VisitsInOrder, root_visits
from trainer.search.selection import Selection, leaf
from trainer.search.settings import SearchSettings
from trainer.search.tree import empty_tree
from trainer.search.values import make_values


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found at its roots.  Children are in the order of their first visits; 0 where there is none."""

    actions: Tensor  # int64 [R, K, N]
    valid: Tensor  # bool [R, K]
    visits: Tensor  # int64 [R, K]; they sum to the number of simulations
    q: Tensor  # [R, K], reward + discount * value of the child; 0 while unvisited, as released
    improved: Tensor  # [R, K], the policy that the search has come to: visits / simulations, or that of halving
    best: Tensor  # int64 [R], the child to act by: the most visited, the first of equals, or that of halving
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


def search(
    root: Root, model: Model, settings: SearchSettings, draws: SearchDraws, *, noise: bool = True
) -> SearchResult:
    """Plan from every root; `noise` mixes Dirichlet noise into what the roots' joint actions are drawn from.

    With fewer distinct joint actions than samples there are fewer children, and with fewer simulations than children
    some have no visits.  Raises TrainingError, with the root named, where a root has no legal action or the model
    gives a number that is not finite.
    """
    run = Search(root, model, settings, draws, noise=noise)
    for _ in range(settings.simulations):
        run.simulate()
    return run.result()


class Search:
    """A search that can be followed simulation by simulation; `search` runs all of them."""

    @torch.inference_mode()
    def __init__(
        self, root: Root, model: Model, settings: SearchSettings, draws: SearchDraws, *, noise: bool = True
    ) -> None:
        check_root(root)
        self._root, self._model, self.settings, self._draws = root, model, settings, draws
        nodes, (roots, agents, _) = settings.simulations + 1, root.logits.shape
        paths = Paths(roots, nodes, root.value.device)
        values = make_values(settings, paths, root.value)
        self.tree = empty_tree(root.hidden, settings.samples, agents, paths, values, root.value)
        self.selection = Selection(settings, root.value)
        self.policy = root_policy(root, settings, draws, noise=noise)
        self.children = root_children(self.policy, self._children(self.policy.sampling))
        self.rule: RootRule = VisitsInOrder()
        if settings.root == "halving":
            gumbel = draws.gumbel(self.children.prior)
            self.rule = SequentialHalving(settings, self.children, gumbel if noise else torch.zeros_like(gumbel))
        node = self.tree.add(root.hidden, root.value, self.children.children)
        self.tree.prior[..., node] = self.children.prior.masked_fill(~self.children.children.valid, -torch.inf).T
        self.tree.width = self.children.children.valid.sum(1)
        self.path = torch.zeros(roots, 1, dtype=torch.int64, device=root.value.device)
        """Of the newest node, int64 [R, L], `paths.beyond` after its end."""
        self.returns = root.value[:, None]
        """Along it, [R, L]; meaningless after its end."""
        self._discounts = Discounts(settings.discount, nodes, root.value)
        back_up(self.tree, node, self.path, self.returns, self._discounts)
        self._sums = torch.zeros_like(self.tree.prediction)
        """Of all logits of a node, [R, M + 1]; not finite where one of them is not."""

    @torch.inference_mode()
    def simulate(self) -> Expansion:
        """Select a leaf in each tree, let the model evaluate them all at once, back up."""
        tree, settings = self.tree, self.settings
        chosen = self.selection.choices(tree, self._draws)
        chosen[:, 0] = self.rule.choose(tree, chosen[:, 0])
        parent, slot = leaf(tree, chosen)
        roots = tree.paths.root
        hidden = tree.hidden.flatten(0, 1).index_select(0, parent * len(roots) + roots)
        action = tree.actions.flatten(0, 2).index_select(
            0, (roots * tree.actions.shape[1] + parent) * settings.samples + slot
        )
        found = self._model.step(hidden, action)
        self._sums[:, tree.size] = found.logits.sum((1, 2))
        # Softmax, written out: over a short last axis torch's kernel takes four times as long.
        policy = normalised((found.logits - found.logits.amax(-1, keepdim=True)).exp_())
        if settings.masks == "whole-tree":
            policy = within(policy, self._root.legal, settings.legal_floor)
        node = tree.add(found.hidden, found.value, self._children(policy))
        tree.reward[:, node] = found.reward
        tree.child[slot, roots, parent] = node
        tree.slot[:, node] = slot
        self.path = tree.paths.extend(parent, node)
        self.returns = returns_along(tree, node, self.path, self._discounts)
        back_up(tree, node, self.path, self.returns, self._discounts)
        return found

    def result(self) -> SearchResult:
        """Of the simulations so far."""
        # Copies, since tensors of an inference are of no use in a loss.
        return SearchResult(**{name: value.clone() for name, value in self._found().items()})

    @torch.inference_mode()
    def _found(self) -> dict[str, Tensor]:
        tree, children = self.tree, self.children
        check_finite(tree.reward + tree.prediction + self._sums)
        node = tree.child[..., 0].T

        def of_child(table: Tensor) -> Tensor:
            return table.gather(1, node).masked_fill(node == 0, 0)

        reward, value = of_child(tree.reward), of_child(tree.value)
        return {
            "actions": tree.actions[:, 0],
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
