"""Delay and jitter against a step's deadline for messages, in virtual time: no process ever waits for it.

Axis legend: N agents; of [N, N], entry [i, j] is about the message from j to i.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coordinator.channel.draws import Fault, uniform
from coordinator.channel.settings import Channel


class Delay:
    """Messages take `delay_ms`, give or take up to `jitter_ms`, uniformly; those that take no more than a deadline are
    in time, and each further deadline begun makes them one step later."""

    def __init__(self, channel: Channel, *, seed: int, agents: int) -> None:
        self._channel, self._seed, self._agents = channel, seed, agents

    def late_by(self, step: int) -> npt.NDArray[np.int64]:
        """int64 [N, N]: by how many steps the messages of a step are late, 0 for those in time."""
        channel = self._channel
        draw = uniform(seed=self._seed, fault=Fault.JITTER, step=step, agents=self._agents)
        deadlines = (channel.delay_ms + channel.jitter_ms * (2 * draw - 1)) / channel.deadline_ms
        late: npt.NDArray[np.float64] = np.maximum(np.ceil(deadlines) - 1, 0)
        return late.astype(np.int64)
