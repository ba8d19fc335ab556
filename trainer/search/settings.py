"""Settings of a search (MAZero §4.2, Table 1; Sampled MuZero).  The paper's values are the defaults."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from heliograph.settings import Settings

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Discount = Annotated[float, Field(gt=0.0, le=1.0)]


class SearchSettings(Settings):
    """How many joint actions are tried, how a node's value is made of its returns, how a child is chosen."""

    simulations: Annotated[int, Field(gt=0, lt=2**15)] = 100
    """N: nodes that a search adds to its tree, one evaluation of the model for each."""
    samples: Annotated[int, Field(gt=0, le=2**11)] = 10
    """K: joint actions drawn at a node; equal ones are merged, so there may be fewer children, and never more than \
there are joint actions."""
    quantile: Share = 0.75
    """rho of OS(lambda): of the returns of a node at one distance, the largest 1 - rho are averaged, one at least; \
0 averages all.  The released script has 0.25."""
    decay: Share = 0.8
    """lambda of OS(lambda): weight of a return per step of its distance; 1 weighs all alike."""
    discount: Discount = 0.99
    noise_fraction: Share = 0.25
    """Share of Dirichlet noise in the distribution that the root's joint actions are drawn from."""
    noise_concentration: PositiveFloat = 0.3
    """Parameter of that Dirichlet distribution, for every action of every agent."""
    legal_floor: NonNegativeFloat = 1e-4
    """Added to the probability of each of the root's legal actions, so that none is out of reach."""
    masks: Literal["root", "whole-tree"] = "root"
    """Where the root's legal actions bind: there alone, as published, or below it too."""
    exploration_initial: NonNegativeFloat = 1.25
    exploration_base: PositiveFloat = 19652.0
    """The weight of a child's prior is exploration_initial + ln((visits + exploration_base + 1) / exploration_base)."""
    score: Literal["scaled", "advantage"] = "scaled"
    """What a child's prior term is added to: the advantage scaled by its least and largest value in the tree and \
clipped to 0..1, as released, or the advantage itself, as printed (MAZero eq. 9)."""
    advantage_floor: PositiveFloat = 0.01
    """Least range of advantages that scaling divides by."""
    kept: Literal["exact", "float32"] = "exact"
    """How count * (1 - quantile) is rounded up: exactly, or in single precision as the released code, which then \
keeps 2 of 10 at 0.9 and 3 of 10 at 0.7."""
    child_order: Literal["lexicographic", "wrapped"] = "lexicographic"
    """Order in which the root's children get their first visits: by their actions, agent after agent, or by the \
released key, which overflows from six agents on."""
    root: Literal["puct", "halving"] = "puct"
    """How a root divides its simulations among its children: by the score of all nodes, as published, or by \
sequential halving of those that Gumbel noise and prior put first (Danihelka et al. 2022), for few simulations."""
    sampling: Literal["at-once", "progressive"] = "at-once"
    """When a root's joint actions are drawn: before its first simulation, as published, or in rounds, each agent more \
of what has gone well so far."""
    rounds: Annotated[int, Field(gt=1)] = 4
    tilt: NonNegativeFloat = 4.0
    """Progressive: how many rounds, which share samples and simulations evenly; and what an agent's action gains in \
the logarithm of its probability by an average scaled advantage of 1."""
    reuse: bool = False
    """Whether a search that follows another keeps what that one found below the joint action that was taken, in \
addition to its own simulations; while collecting and in evaluations with search."""
    considered: Annotated[int, Field(gt=0)] = 8
    """Halving: so many children are visited at first, at most."""
    halving_visits: NonNegativeFloat = 50.0
    halving_scale: NonNegativeFloat = 1.0
    """Halving: a child's scaled advantage weighs (halving_visits + most visits of a child) * halving_scale against \
the logarithm of its prior."""

    @model_validator(mode="after")
    def _has_one_rule_for_the_root(self) -> Self:
        if self.root == "halving" and self.sampling == "progressive":
            raise ValueError("halving begins with all joint actions of a root, of which progressive draws some later")
        return self
