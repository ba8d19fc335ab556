"""Whether one advantage outweighs all else that a batch teaches: the largest factor that one gives, and a warning.

Advantages have a deviation of 1, and those of a few joint actions many times that; the gradient of a loss that they
weigh by exp(A / alpha) is then theirs alone once it is clipped, and rewards and values are hardly learned.
"""

from __future__ import annotations

import logging

from trainer.algorithms.mazero.loss import policy_weights
from trainer.algorithms.mazero.settings import MazeroLossSettings
from trainer.algorithms.mazero.targets import Targets

logger = logging.getLogger(__name__)

WORTH_A_WARNING = 100.0
"""Factor from which on a person is told."""


class Outweighing:
    """Tells once, and again whenever the factor has grown tenfold."""

    def __init__(self) -> None:
        self._reported_from = WORTH_A_WARNING

    def see(self, targets: Targets, settings: MazeroLossSettings) -> float:
        """The largest factor that an advantage gives a joint action that was found; 1 if none was, or none counts."""
        weights = policy_weights(targets, settings)[targets.policy.valid]
        if settings.policy == "bc" or not len(weights):
            return 1.0
        largest = float(weights.max())
        if largest >= self._reported_from:
            self._reported_from = 10 * largest
            logger.warning(
                "an advantage weighs a joint action so much that little else is learned factor=%.4g remedy=%s",
                largest,
                "set mazero.loss.weight_clip (3 in the released script), or raise mazero.loss.alpha",
            )
        return largest
