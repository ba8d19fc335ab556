"""Tables of what a team says, learned from replay when it is exported.

Axis legend: T time, B windows, N agents, K categoricals, C classes.
"""

from __future__ import annotations

import numpy as np
import torch

from heliograph.codecs import LatentTables
from trainer.algorithms.interfaces import Algorithm, MessagingAlgorithm, PricingAlgorithm
from trainer.experience.messages import messages_sent
from trainer.experience.replay import Replay
from trainer.policy.draws import GreedyDraws

ROWS = 4096
"""How many of the newest rows of replay are looked at; each holds a message of every agent."""


def learned_tables(algorithm: Algorithm, replay: Replay) -> LatentTables | None:
    """Counts [K, C] of what the networks as they are now would most likely say to the newest observations.

    All agents of a team count alike.  Where bits are priced, they are the tables that they were priced by.  None for a
    team without messages, or if nothing was ever observed.
    """
    window = replay.newest_window(ROWS)
    if window is None or not isinstance(algorithm, MessagingAlgorithm) or algorithm.message is None:
        return None
    if isinstance(algorithm, PricingAlgorithm) and (counts := algorithm.message_counts()) is not None:
        return LatentTables(counts)
    ids = algorithm.latents(window, GreedyDraws()).cpu()[messages_sent(window)]  # [messages, K]
    seen = [torch.bincount(column, minlength=algorithm.message.classes) for column in ids.unbind(-1)]
    return LatentTables(np.stack([column.numpy() for column in seen]))
