"""Whether supports hold what is learned: the share of targets that lie beyond them, and a warning where it grows."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from trainer.algorithms.mazero.model import MazeroModel

logger = logging.getLogger(__name__)

WORTH_A_WARNING = 0.01
"""Share of targets from which on a person is told."""


class Clipping:
    """Tells once, and again whenever the share has doubled."""

    def __init__(self) -> None:
        self._warned_share = WORTH_A_WARNING / 2

    def see(self, model: MazeroModel, *, value: Tensor, reward: Tensor) -> float:
        """The share of targets [...] that are beyond their supports."""
        beyond = torch.cat([model.value_support.beyond(value).flatten(), model.reward_support.beyond(reward).flatten()])
        share = float(beyond.float().mean())
        if share >= 2 * self._warned_share:
            self._warned_share = share
            largest = float(torch.cat([value.flatten(), reward.flatten()]).abs().max())
            logger.warning(
                "targets lie beyond their support and are clipped share=%.3f largest=%.4g remedy=%s",
                share,
                largest,
                "widen mazero.model.value_support and reward_support, or lower mazero.targets.reward_scale",
            )
        return share
