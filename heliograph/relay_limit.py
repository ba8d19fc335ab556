"""The best score that any team can reach on `relay` when messages are lost or late: exact from below and from above.

What an agent can do is decided by the step at which it first learns its target, and that step by the links alone: the
best messages tell all that their sender knows, also what it heard from others.  An agent that learns its target at
step k reaches it if it is then no further away than the steps that are left.

- From below: everyone goes to the middle of the grid, waits there, goes to its target when it learns it, and guesses at
  the last step if it never does.  Given the steps at which they learn them, targets are independent, so a team's chance
  is the product of its agents'; or nobody listens and everyone follows the public rule of the blind bound.
- From above: a team wins at most as often as that one of its agents whose chance is least; whoever does not know its
  target at a step reaches at most as many cells from where it is as from the best cell, and one that never learns it is
  right once in G^2.

The two differ where several agents of an episode learn too late, which is rare at losses that a team can live with.

Axis legend: N agents, L steps of an episode, G side of the grid.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from heliograph.link_faults import Burst

MOST_AGENTS = 3
"""Beyond, the states of all links together are too many to go through."""

MOST_OUTCOMES = 300_000
"""Of steps, in all states of all links, that are gone through: a second or two."""

_Known = tuple[frozenset[int], ...]
"""Of each agent the targets that it has seen or heard of."""
_State = tuple[tuple[_Known, ...], tuple[bool, ...], tuple[int, ...]]
"""What was known at the steps whose messages are still on their way, the newest first; links that are down; steps at
which agents have learned their targets."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Of a share of episodes won."""

    low: float
    """A team that is described above reaches it."""
    high: float
    """No team exceeds it."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Of every link alike, each by itself."""

    erasure: float = 0.0
    burst: Burst | None = None
    delay_steps: int | None = 0
    """By which every message is late, and read all the same; None: no message is ever read."""


@lru_cache(maxsize=256)
def relay_limit(*, agents: int, size: int = 3, length: int = 6, faults: Faults, ring: bool = False) -> Limit | None:
    """Of `relay` in which an agent sees the next one's target, without noise; with `ring` it hears the one before it
    alone, else everyone.  None for more than `MOST_AGENTS` or `MOST_OUTCOMES`, and where the grid cannot be crossed in
    time, so that the blind bound is out of reach."""
    if agents > MOST_AGENTS or length < 2 * (size - 1):
        return None
    cells = size**2
    blind = float(cells) ** -(agents - 1)
    if faults.delay_steps is None or faults.erasure == 1:
        return Limit(low=blind, high=blind)
    reach = _Reach(size=size, length=length)
    low = high = 0.0
    endings = _endings(agents, alike=reach.alike, faults=faults, ring=ring)
    if endings is None:
        return None
    for chance, learned in endings:
        shares = [reach.waiting[step] if step else 1 / cells for step in learned]
        most = [reach.best[step] if step else 1 / cells for step in learned]
        low += chance * float(np.prod(shares))
        high += chance * min(most)
    return Limit(low=max(low, blind), high=max(high, blind))


class _Reach:
    """Shares of targets that are reached by whoever learns them at a step k, from 1 to L - 1; [L]."""

    def __init__(self, *, size: int, length: int) -> None:
        place = np.stack(np.divmod(np.arange(size**2), size), axis=1)
        ways = np.arange(2 * size - 1)
        # [G^2, 2 G - 1]: how many cells are so far from each one, then the share of those that are no further.
        apart = np.stack([np.bincount(np.abs(place - cell).sum(1), minlength=ways.size) for cell in place])
        shares = apart.cumsum(1) / size**2
        left = np.minimum(length - np.arange(length), ways[-1])
        self.best = shares.max(0)[left]
        # Where they wait is the cell with the least way to all others.
        middle = int((apart @ ways).argmin())
        self.waiting = np.array([shares[_on_the_way(place, middle, step), left[step]].mean() for step in range(length)])
        both = list(zip(self.waiting, self.best, strict=True))
        self.alike = [both.index(pair, 1) if step else 0 for step, pair in enumerate(both)]
        """The first step at which it is as good to learn a target."""


def _on_the_way(place: npt.NDArray[np.int64], middle: int, steps: int) -> npt.NDArray[np.int64]:
    """Cells [G^2] after so many steps from each cell to the middle, along rows first."""
    size = int(place.max()) + 1
    way = place[middle] - place
    rows = np.sign(way[:, 0]) * np.minimum(np.abs(way[:, 0]), steps)
    columns = np.sign(way[:, 1]) * np.minimum(np.abs(way[:, 1]), np.maximum(steps - np.abs(way[:, 0]), 0))
    found: npt.NDArray[np.int64] = (place[:, 0] + rows) * size + place[:, 1] + columns
    return found


def _endings(
    agents: int, *, alike: list[int], faults: Faults, ring: bool
) -> list[tuple[float, tuple[int, ...]]] | None:
    """Chances of the steps at which agents learn their targets, 0 for never, in all episodes that differ in them; of
    steps that are `alike` [L] the first stands for all.  None if there are too many to go through."""
    links = [(i, j) for i in range(agents) for j in range(agents) if j == (i - 1) % agents or (not ring and i != j)]
    seen: _Known = tuple(frozenset({(slot + 1) % agents}) for slot in range(agents))
    chances: dict[_State, float] = {((seen,), (False,) * len(links), (0,) * agents): 1.0}
    delay, gone_through = faults.delay_steps or 0, 0
    for step in range(1, len(alike)):
        following: dict[_State, float] = defaultdict(float)
        for (history, down, learned), chance in chances.items():
            if all(learned):
                following[history, down, learned] += chance
                continue
            outcomes = _outcomes(down, faults, first=step == 1)
            gone_through += len(outcomes)
            if gone_through > MOST_OUTCOMES:
                return None
            for of_links, down_now, arrives in outcomes:
                known = history[0]
                if len(history) > delay:
                    said = history[delay]
                    known = _after_messages(
                        known, said, [link for link, here in zip(links, arrives, strict=True) if here]
                    )
                now = tuple(at or (alike[step] if slot in known[slot] else 0) for slot, at in enumerate(learned))
                known = _needed(known, now)
                following[(known, *history)[: delay + 1], down_now, now] += chance * of_links
        chances = dict(following)
    return [(chance, learned) for (_, _, learned), chance in chances.items()]


@lru_cache(maxsize=256)
def _outcomes(
    down: tuple[bool, ...], faults: Faults, *, first: bool
) -> list[tuple[float, tuple[bool, ...], tuple[bool, ...]]]:
    """What may become of the links at a step: its chance, which are down then, over which a message arrives."""
    found = []
    for combination in product(*(list(_outcomes_of_one(was, faults, first=first)) for was in down)):
        chances, down_now, arrives = zip(*combination, strict=True)
        found.append((math.prod(chances), down_now, arrives))
    return found


def _outcomes_of_one(was_down: bool, faults: Faults, *, first: bool) -> Iterator[tuple[float, bool, bool]]:
    burst, bad = faults.burst, 0.0
    if burst is not None:
        bad = burst.loss if first else 1 - burst.to_good if was_down else burst.to_bad
    for chance, down, arrives in (
        (bad, True, False),
        ((1 - bad) * faults.erasure, False, False),
        ((1 - bad) * (1 - faults.erasure), False, True),
    ):
        if chance:
            yield chance, down, arrives


def _after_messages(known: _Known, said: _Known, links: list[tuple[int, int]]) -> _Known:
    """What is known once everything that senders knew has come over these links (receiver, sender)."""
    after = list(known)
    for receiver, sender in links:
        after[receiver] |= said[sender]
    return tuple(after)


def _needed(known: _Known, learned: tuple[int, ...]) -> _Known:
    """Without the targets of those who have learned them, which nobody needs to be told any more."""
    over = frozenset(slot for slot, at in enumerate(learned) if at)
    return tuple(targets - over for targets in known)
