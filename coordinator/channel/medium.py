"""The channel during one episode: what becomes of every message.  The one place where that is decided.

Axis legend: N agents; of [N, N], entry [i, j] is about the message from j to i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coordinator.channel import reach
from coordinator.channel.delay import Delay
from coordinator.channel.losses import Erasure, Fading, GilbertElliott
from coordinator.channel.rate import Sizes, TokenBuckets
from coordinator.channel.settings import Channel
from heliograph.codecs import Codec


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of the messages of one step."""

    lost: npt.NDArray[np.bool_]
    """bool [N, N]."""
    late_by: npt.NDArray[np.int64]
    """int64 [N, N]: by how many steps those that are not lost are late; 0 for those in time and those lost."""

    def lost_by(self, receiver: int) -> tuple[int, ...]:
        """Senders whose message it does not get, ascending."""
        return tuple(np.flatnonzero(self.lost[receiver]).tolist())

    def late_at(self, receiver: int) -> dict[int, int]:
        """Senders, ascending, whose message is late there, and by how many steps."""
        return {int(sender): int(self.late_by[receiver, sender]) for sender in np.flatnonzero(self.late_by[receiver])}


class Medium:
    """Judges the messages of an episode: a pure function of (seed, link, step), but for the rate limit, which also
    depends on what was sent before.

    `seed` is the episode's (`heliograph.seeds.episode_seed`); `codec` is how latents are written, `longest_bits` what
    the longest takes, for the rate limit alone.
    """

    def __init__(
        self, channel: Channel, *, seed: int, agents: int, codec: Codec | None = None, longest_bits: int = 0
    ) -> None:
        self._channel, self._agents = channel, agents
        self._step = 0
        self._neighbours_before = np.zeros((agents, agents), dtype=bool)
        self._buckets = None
        self.sizes = Sizes(codec=codec, longest_bits=longest_bits, agents=agents)
        if channel.rate_bits is not None:
            self._buckets = TokenBuckets(channel.rate_bits, longest_bits=longest_bits, agents=agents)
        self._erasure = Erasure(channel, seed=seed, agents=agents) if channel.erasure or channel.links else None
        self._bursts = None if channel.burst is None else GilbertElliott(channel.burst, seed=seed, agents=agents)
        self._fading = None if channel.distance is None else Fading(channel.distance, seed=seed, agents=agents)
        self._delay = Delay(channel, seed=seed, agents=agents) if channel.delay_ms else None

    def carry(
        self, hears: npt.NDArray[np.bool_], distances: npt.NDArray[np.float32] | None
    ) -> tuple[npt.NDArray[np.bool_], Verdict | None]:
        """At each step, in order: who can still hear whom, bool [N, N], and what became of the step before's messages,
        of which there are none at the first step.

        `hears` bool [N, N] is what the world allows, `distances` float32 [N, N] are needed where the channel asks for
        them.
        """
        hears = reach.within_reach(self._channel, hears, distances)
        # To whoever could hear it when it was made, and to whoever hears of that step only now; see `Outbox`.
        sent = self._neighbours_before | hears
        verdict = self.judge(self._step - 1, sent=sent, distances=distances) if self._step else None
        self._step, self._neighbours_before = self._step + 1, hears
        return hears, verdict

    def judge(self, step: int, *, sent: npt.NDArray[np.bool_], distances: npt.NDArray[np.float32] | None) -> Verdict:
        """What becomes of those of the messages made at `step` that were `sent`, bool [N, N]."""
        lost = np.zeros((self._agents, self._agents), dtype=bool)
        if self._buckets is not None:
            lost |= self._buckets.lost(sent, self.sizes.of(sent))
        for losses in (self._erasure, self._bursts):
            if losses is not None:
                lost |= losses.lost(step)
        if self._fading is not None:
            assert distances is not None
            lost |= self._fading.lost(step, distances)
        lost &= sent
        late_by = np.zeros((self._agents, self._agents), dtype=np.int64)
        if self._delay is not None:
            late_by = np.where(sent & ~lost, self._delay.late_by(step), 0)
        return Verdict(lost=lost, late_by=late_by)
