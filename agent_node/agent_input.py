"""What one agent perceives at one step.  Imported by every part of the node and by whoever drives an `Agent`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class AgentInput:
    """One agent's own view of one step (D observation size, A actions); nothing of another agent is in it."""

    episode: int
    """Counts from 0 within the run."""
    step: int
    """Environment step within the episode, from 0."""
    observation: npt.NDArray[np.float32]
    """float32 [D]."""
    action_mask: npt.NDArray[np.bool_]
    """bool [A], true where the action is legal; at least one is."""
    receives_from: tuple[int, ...] = ()
    """Slots whose messages of step - 1 may be read now: the neighbours of this step, never the own slot."""
    sends_to: tuple[int, ...] = ()
    """Slots that can hear this agent at this step."""
    first: bool = False
    """First step of this agent in this episode; it starts over from zero state and reads no messages."""
    lost: tuple[int, ...] = ()
    """Slots whose message of step - 1 a simulated channel lost: to be treated as never arrived."""
    late: Mapping[int, int] = field(default_factory=dict)
    """Slots whose message of step - 1 it delayed, and by how many steps, 1 or more."""
    message_deadline_s: float = 0.05
    """How long to wait, from its arrival on, for the messages of `receives_from`; what comes later is late."""
