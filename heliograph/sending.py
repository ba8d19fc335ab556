"""When an agent sends: at every step, or only what is not much as its last message (event-triggered sending).

Sender and receivers make the same prediction, that a latent stays as it was, so what is as predicted need not be sent.
Imports nothing heavy; part of a bundle's manifest.

Axis legend: K categoricals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.checks import check_integer

LONGEST_HEARTBEAT = 2**20


@dataclass(frozen=True, kw_only=True)
class Sending:
    """A message is withheld for fewer than `heartbeat` steps after the last one, and only while no more than `changes`
    of its ids are others than in that."""

    heartbeat: int
    """Steps after which a message is sent in any case, which tells an agent that withholds from one that is gone."""
    changes: int
    """Ids of a latent, 0..K."""

    def __post_init__(self) -> None:
        check_integer("sending.heartbeat", self.heartbeat, 2, LONGEST_HEARTBEAT)
        check_integer("sending.changes", self.changes, 0, 4096)

    def withholds(self, latent: npt.NDArray[np.int32], last: npt.NDArray[np.int32], *, steps: int) -> bool:
        """Whether ids int32 [K] are not sent, `steps` after `last` int32 [K] were."""
        return steps < self.heartbeat and int(np.count_nonzero(latent != last)) <= self.changes

    def is_due(self, *, steps: int) -> bool:
        """Whether a message must come that is made so many steps after the last one."""
        return steps >= self.heartbeat
