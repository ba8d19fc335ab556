"""What an environment may have to do with a loss that is no number any more: what it returned is far too large."""

from __future__ import annotations

import numpy as np

from heliograph.errors import NonFiniteLoss
from trainer.experience.replay import Replay

LARGE = 1e3
"""Networks learn from numbers of about 1; squares of larger ones soon leave what float32 holds."""


def explained(error: NonFiniteLoss, replay: Replay) -> NonFiniteLoss:
    """The error, with the largest observation and reward in replay where they may be the cause."""
    state = replay.state()
    reached = {f"{name}s": float(np.abs(state[name]).max(initial=0.0)) for name in ("observation", "reward")}
    large = [f"{names} reach {value:g}" for names, value in reached.items() if value > LARGE]
    if not large:
        return error
    return NonFiniteLoss(
        f"{error.message}, and {' and '.join(large)}",
        remedy="Scale them to about -1 to 1 in the environment, and train anew",
    )
