"""The distributions of a root: masked policy, noise, and what its joint actions are drawn from (MAZero, code).

Axis legend: R roots, K samples, N agents, A actions of one agent.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trainer.search.children import Children, agentwise_probability
from trainer.search.draws import SearchDraws
from trainer.search.model import Root
from trainer.search.settings import SearchSettings


@dataclass(frozen=True, kw_only=True)
class RootPolicy:
    """Of every agent at every root; each of them sums to one and has nothing on illegal actions."""

    policy: Tensor  # [R, N, A], the model's, within the legal actions
    noise: Tensor  # [R, N, A]
    mixed: Tensor  # [R, N, A], unnormalised: the two, in the shares of the settings
    sampling: Tensor  # [R, N, A], `mixed` normalised: what joint actions are drawn from


@dataclass(frozen=True, kw_only=True)
class RootChildren:
    """Probabilities of a root's children, [R, K] each, 0 where there is no child.

    A policy's gradient under AWPO weighs a child by `share / beta * policy`, its importance ratio.
    """

    children: Children
    policy: Tensor  # under the model's policy
    beta: Tensor  # under the distribution that was drawn from
    prior: Tensor  # beta-hat / beta * (mixed probability): beta-hat, up to rounding
    ratio: Tensor  # beta-hat / beta * policy


def root_policy(root: Root, settings: SearchSettings, draws: SearchDraws, *, noise: bool) -> RootPolicy:
    """Noise is drawn whether it is mixed in or not, so that with and without it the same numbers follow."""
    policy = within(root.logits.softmax(-1), root.legal, settings.legal_floor)
    drawn = within(draws.noise(root.logits, settings.noise_concentration), root.legal, settings.legal_floor)
    fraction = settings.noise_fraction if noise else 0.0
    mixed = (1 - fraction) * policy + fraction * drawn
    return RootPolicy(policy=policy, noise=drawn, mixed=mixed, sampling=normalised(mixed))


def root_children(distributions: RootPolicy, children: Children) -> RootChildren:
    """Probabilities of children that were drawn from `distributions.sampling`."""

    policy, beta, mixed = (
        agentwise_probability(probabilities, children.actions)
        for probabilities in (distributions.policy, distributions.sampling, distributions.mixed)
    )

    def joint(factors: Tensor) -> Tensor:
        return factors.prod(1).masked_fill(~children.valid, 0.0)

    return RootChildren(
        children=children,
        policy=joint(policy),
        beta=joint(beta),
        # Agent by agent, since the probability of a large team's joint action is too small for single precision.
        prior=children.share * joint(mixed / beta),
        ratio=children.share * joint(policy / beta),
    )


def log_joint(probabilities: Tensor, actions: Tensor) -> Tensor:
    """Logarithm [R, K] of the probability of joint actions int64 [R, K, N] under policies [R, N, A]."""
    return agentwise_probability(probabilities, actions).log().sum(1)


def within(policy: Tensor, legal: Tensor, floor: float) -> Tensor:
    """A policy [R, N, A] within the legal actions (bool, likewise), each of which gets `floor` more."""
    return normalised((policy + floor) * legal)


def normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)
