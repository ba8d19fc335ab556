"""What one agent perceives at one environment step, and what it answers.  Shared by every world and transport."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Percept:
    """One agent's view of one step.  D observation size, A actions."""

    episode: int
    step: int
    observation: np.ndarray
    """float32 [D]: the agent's own."""
    action_mask: np.ndarray
    """bool [A], true where the action is legal."""
    hears: tuple[int, ...]
    """The slots whose messages of `step` - 1 may be read now."""
    heard_by: tuple[int, ...]
    """The slots that can hear this agent at this step."""
    first: bool
    """First step of this agent in this episode."""
    message_deadline_s: float
    """How long after the percept's arrival to wait for messages."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """What the agent answers to a percept, and how it came to it.  K categoricals."""

    episode: int
    step: int
    action: int
    latent: np.ndarray | None
    """int32 [K], or None for an agent without messages."""
    masked: tuple[int, ...]
    """Of the percept's `hears`: the slots that were absent from the inbox."""
    waited_s: float
    """From the percept's arrival until the inbox was closed."""
    computed_s: float
    """In the bundle's step function."""
