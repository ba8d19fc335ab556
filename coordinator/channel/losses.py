"""Faults that lose messages by chance: each by itself, in bursts, or by distance.

Axis legend: N agents; of [N, N], entry [i, j] is about the message from j to i.  A link loses the more the higher the
probability: what is lost at one is also lost at a higher one, so curves over it are smooth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coordinator.channel.draws import Fault, uniform
from coordinator.channel.settings import Channel
from heliograph.link_faults import Burst, Distance


class Erasure:
    """Messages are lost each by itself."""

    def __init__(self, channel: Channel, *, seed: int, agents: int) -> None:
        self._seed, self._agents = seed, agents
        self._probability = np.full((agents, agents), channel.erasure)
        for sender, receiver, probability in channel.links:
            self._probability[receiver, sender] = probability

    def lost(self, step: int) -> npt.NDArray[np.bool_]:
        """bool [N, N], of the messages of a step."""
        return uniform(seed=self._seed, fault=Fault.ERASURE, step=step, agents=self._agents) < self._probability


class GilbertElliott:
    """Messages are lost while their link is bad; how it fares is a Markov chain from the start of the episode."""

    def __init__(self, burst: Burst, *, seed: int, agents: int) -> None:
        self._burst, self._seed, self._agents = burst, seed, agents
        self._step = -1
        self._bad = np.zeros((agents, agents), dtype=bool)

    def lost(self, step: int) -> npt.NDArray[np.bool_]:
        """bool [N, N], of the messages of a step; steps may be asked for in any order."""
        if step < self._step:
            self._step = -1
        while self._step < step:
            self._step += 1
            draw = uniform(seed=self._seed, fault=Fault.BURST, step=self._step, agents=self._agents)
            if self._step == 0:
                self._bad = draw < self._burst.loss
            else:
                self._bad = np.where(self._bad, draw >= self._burst.to_good, draw < self._burst.to_bad)
        return self._bad


class Fading:
    """Messages are lost the more easily the further apart two agents are."""

    def __init__(self, distance: Distance, *, seed: int, agents: int) -> None:
        self._distance, self._seed, self._agents = distance, seed, agents

    def lost(self, step: int, distances: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """bool [N, N], of the messages of a step that arrive at `distances`, float32 [N, N]."""
        probability = 1 - 2.0 ** -((distances / self._distance.half) ** self._distance.exponent)
        return uniform(seed=self._seed, fault=Fault.DISTANCE, step=step, agents=self._agents) < probability
