"""Conditions: who is perturbed, and who can hear whom meanwhile; and which of them a team's audit plays.

Axis legend: T steps, N agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from analysis.audit.input_sequence import InputSequence

REPEAT, WORLD, ISOLATION, LINK, TWO_HOPS = "repeat", "world graph", "isolation", "one link", "two hops"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One question to the team."""

    check: str
    perturbed: int | None
    """The agent whose observations are changed; nobody's in a repeat."""
    silenced: int | None = None
    """Nobody hears this agent."""
    path: tuple[int, ...] = ()
    """If given, the only links, open at every step: each agent of it is heard by the next one alone."""

    @property
    def hops(self) -> int:
        """Steps that a change takes to the last agent that it should reach."""
        return max(1, len(self.path) - 1)

    @property
    def graph(self) -> tuple[int | None, tuple[int, ...]]:
        """Equal for conditions in which everybody hears the same."""
        return self.silenced, self.path

    def hears(self, sequence: InputSequence) -> npt.NDArray[np.bool_]:
        """Who can hear whom, bool [T, N, N]."""
        hears = sequence.hears.copy()
        if self.path:
            hears[:] = False
            for sender, receiver in zip(self.path, self.path[1:], strict=False):
                hears[:, receiver, sender] = True
        if self.silenced is not None:
            hears[:, :, self.silenced] = False
        return hears


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """All that one audit plays, and how much of the whole that is."""

    conditions: tuple[Condition, ...]
    pairs: int
    """Ordered pairs whose link is tried alone."""
    all_pairs: int
    triples: int
    """Ordered triples whose two hops are tried alone."""
    all_triples: int


def conditions(*, agents: int, messages: bool, greedy: bool, limit: int, random: np.random.Generator) -> Conditions:
    """Isolation and the world's own graph for every agent; of pairs and triples at most `limit` each, drawn by lot.

    Without messages there are no links to try.  A repeat makes sense of the greedy policy alone: under the sampled
    one two episodes differ by their noise.
    """
    pairs = list(permutations(range(agents), 2)) if messages else []
    triples = list(permutations(range(agents), 3)) if messages else []
    some_pairs, some_triples = _drawn(pairs, limit, random), _drawn(triples, limit, random)
    return Conditions(
        conditions=(
            *([Condition(check=REPEAT, perturbed=None)] if greedy else []),
            *(Condition(check=ISOLATION, perturbed=slot, silenced=slot) for slot in range(agents)),
            *(Condition(check=WORLD, perturbed=slot) for slot in range(agents) if messages),
            *(Condition(check=LINK, perturbed=pair[0], path=pair) for pair in some_pairs),
            *(Condition(check=TWO_HOPS, perturbed=triple[0], path=triple) for triple in some_triples),
        ),
        pairs=len(some_pairs),
        all_pairs=len(pairs),
        triples=len(some_triples),
        all_triples=len(triples),
    )


def start_of(condition: Condition, sequence: InputSequence, random: np.random.Generator) -> int:
    """A step to perturb from: early, and with room for the change to arrive."""
    last = min(sequence.steps // 3, sequence.steps - 1 - condition.hops)
    return int(random.integers(max(0, last) + 1))


def _drawn(all_of_them: Sequence[tuple[int, ...]], limit: int, random: np.random.Generator) -> list[tuple[int, ...]]:
    if len(all_of_them) <= limit:
        return list(all_of_them)
    return [all_of_them[index] for index in sorted(random.choice(len(all_of_them), limit, replace=False))]
