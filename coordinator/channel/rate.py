"""A rate limit for each directed link: a token bucket that drops what it cannot carry; and the sizes of messages.

Axis legend: N agents; of [N, N], entry [i, j] is about the message from j to i.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from heliograph.codecs import Codec


class Sizes:
    """Bits of the latents on each link, as their codec counts them; `longest_bits` if nobody reports what was sent."""

    def __init__(self, *, codec: Codec | None, longest_bits: int, agents: int) -> None:
        self._codec, self._longest_bits = codec, longest_bits
        self._latents: dict[int, npt.NDArray[np.int32]] = {}
        self._sent_before = np.zeros((agents, agents), dtype=bool)
        self._alone = np.full(agents, longest_bits)
        self._following = self._alone.copy()

    def note(self, latents: Mapping[int, npt.NDArray[np.int32]]) -> None:
        """What the agents send at the next step, int32 [K] by slot."""
        before, self._latents = self._latents, dict(latents)
        self._alone[:] = self._following[:] = self._longest_bits
        if self._codec is None:
            return
        for slot, latent in latents.items():
            self._alone[slot] = self._following[slot] = self._codec.size_bits(latent)
            if self._codec.needs_previous and slot in before:
                self._following[slot] = self._codec.size_bits(latent, before[slot])

    def of(self, sent: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """int64 [N, N] of the messages of the step before, `sent` over these links; to be asked once for every step."""
        before, self._sent_before = self._sent_before, sent
        return np.where(before, self._following[None, :], self._alone[None, :])


class TokenBuckets:
    """One bucket per link, which gets `rate_bits` tokens with each step.

    It holds as many as the longest message takes and as come in a step besides, so that a slow link carries its rate in
    the long run, a message every few steps.  It begins with those of one message.
    """

    def __init__(self, rate_bits: float, *, longest_bits: int, agents: int) -> None:
        self._rate_bits = rate_bits
        self._capacity = longest_bits + rate_bits if rate_bits else 0.0
        self._tokens = np.full((agents, agents), min(self._capacity, max(rate_bits, longest_bits)))

    def lost(self, sent: npt.NDArray[np.bool_], bits: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """bool [N, N]: of the messages `sent`, bool [N, N], of so many `bits` [N, N], those without enough tokens.

        To be asked once for every step, in order.
        """
        carried = sent & (bits <= self._tokens)
        self._tokens = np.minimum(self._tokens - carried * bits + self._rate_bits, self._capacity)
        return sent & ~carried
