"""What agents make of the messages that they have received; each way is an algorithm of its own.

Axis legend: M joint rows, R readers, N senders, K categoricals, C classes, G recurrent size, H width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Reading(nn.Module, ABC):
    """A network that makes one vector of messages, for each reader."""

    # Six parameters: the messages, who may read them, and what the reader is.
    @abstractmethod
    def forward(
        self,
        ids: Tensor,
        deter: Tensor,
        *,
        readable: Tensor,
        own: Tensor,
        sent: Tensor,
        probabilities: Tensor | None = None,
    ) -> Tensor:
        """Messages of ids [M, N, K] for readers whose recurrent states are [M, R, G]; [M, R, H].

        `readable` bool [M, R, N] says whose messages a reader has received, its own left out; `own` bool [R, N] which
        is its own.  `sent` [M, N, 1] is 0 for messages that say nothing and 1 for all others.  `probabilities`
        [M, N, K, C] receive the straight-through gradient of the ids.
        """
