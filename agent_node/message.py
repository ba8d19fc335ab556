"""What one agent tells another, independent of how it travels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Message:
    """The latent that an agent sampled and the action that it took at one step; read by others at the next."""

    episode: int
    step: int
    latent: np.ndarray
    """int32 [K], class ids."""
    action: int
