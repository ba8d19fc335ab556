"""A rate limit for each directed link: a token bucket that drops what it cannot carry.

Axis legend: N agents; of [N, N], entry [i, j] is about the message from j to i.
"""

from __future__ import annotations

import numpy as np


class TokenBuckets:
    """One bucket per link.  It is full at the start of an episode, and gets `rate_bits` tokens with each step.

    It holds as many as come in a step, or as the longest message has bits, if that is more, so that a slow link
    carries a message every few steps.
    """

    def __init__(self, rate_bits: float, *, longest_bits: int, agents: int) -> None:
        self._rate_bits = rate_bits
        self._capacity = max(rate_bits, float(longest_bits)) if rate_bits else 0.0
        self._tokens = np.full((agents, agents), self._capacity)

    def lost(self, sent: np.ndarray, bits: np.ndarray) -> np.ndarray:
        """bool [N, N]: of the messages `sent`, bool [N, N], of so many `bits` [N, N], those without enough tokens.

        To be asked once for every step, in order.
        """
        carried = sent & (bits <= self._tokens)
        self._tokens = np.minimum(self._tokens - carried * bits + self._rate_bits, self._capacity)
        return sent & ~carried
