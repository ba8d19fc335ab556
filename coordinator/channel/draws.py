"""Counter-based randomness of links: the same numbers in any process, in any order, on any machine.

A draw is a pure function of (seed of the episode, fault, receiver, sender, step), as those of agents are in
`heliograph.noise`, whose counters this one's never meet: there the highest word is 0.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

_CHANNEL = 1


class Fault(IntEnum):
    """What a draw decides; each has numbers of its own, so that no fault depends on which others are on."""

    ERASURE = 0
    BURST = 1
    DISTANCE = 2
    JITTER = 3


def uniform(*, seed: int, fault: Fault, step: int, agents: int) -> npt.NDArray[np.float64]:
    """float64 [N, N] in [0, 1): [i, j] is for the message of `step` from j to i."""
    key = np.array([seed, fault], dtype=np.uint64)
    counter = np.array([0, step, 0, _CHANNEL], dtype=np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(agents * agents)
    shares: npt.NDArray[np.float64] = (raw >> np.uint64(11)) * np.float64(2.0**-53)
    return shares.reshape(agents, agents)
