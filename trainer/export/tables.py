"""Tables of what a team says, learned from replay when it is exported.

Axis legend: T time, B windows, N agents, K categoricals, C classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from heliograph.codecs import LatentTables
from trainer.algorithms.interfaces import Algorithm, MessagingAlgorithm
from trainer.experience.links import SENT
from trainer.experience.replay import Replay
from trainer.experience.window import Window
from trainer.policy.draws import GreedyDraws

ROWS = 4096
"""How many of the newest rows of replay are looked at; each holds a message of every agent."""


def learned_tables(algorithm: Algorithm, replay: Replay) -> LatentTables | None:
    """Counts [K, C] of what the networks as they are now would most likely say to the newest observations.

    All agents of a team count alike.  None for a team without messages, or if nothing was ever observed.
    """
    window = replay.newest_window(ROWS)
    if window is None or not isinstance(algorithm, MessagingAlgorithm) or algorithm.message is None:
        return None
    ids = algorithm.latents(window, GreedyDraws()).cpu()[_sent(window)]  # [messages, K]
    counts = [torch.bincount(column, minlength=algorithm.message.classes) for column in ids.unbind(-1)]
    return LatentTables(np.stack([column.numpy() for column in counts]))


def _sent(window: Window) -> Tensor:
    """bool [T, B, N]: rows at which an agent acted and sent, so neither after its end nor where its episode closes."""
    goes_on = ~window.first & window.present.any(-1)  # [T, B]: after the row before
    spoken = window.present.clone()
    spoken[:-1] &= goes_on[1:].unsqueeze(-1)
    if SENT in window.columns:
        # A row tells what was sent of the row before; nothing is known of the last one yet.
        spoken[:-1] &= window.columns[SENT][1:]
        spoken[-1] = False
    return spoken
