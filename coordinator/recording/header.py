"""What a trace says of itself before its first step.  Axis legend: K categoricals, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.actions import ActionSpace, ContinuousActions, DiscreteActions
from heliograph.codecs.message_format import MessageFormat


@dataclass(frozen=True, kw_only=True)
class TraceHeader:
    """What was run, how, and what the numbers of the steps mean; see the fields of the file's header."""

    environment: str
    parameters: dict[str, Any]
    algorithm: str
    run_seed: int
    greedy: bool
    late_policy: str
    codec: str
    channel: str | None
    """What `Channel.parse` reads; None for links without simulated faults."""
    agents: int
    observation_size: int
    actions: int
    continuous: tuple[ContinuousActions, ...] = ()
    """Of each agent; empty where actions are numbered."""
    state_size: int
    message: MessageFormat | None
    recurrent_size: int
    bundles: tuple[str, ...]
    tables: npt.NDArray[np.int64] | None
    """int64 [K, C], counts."""
    observation_names: tuple[str, ...]
    state_names: tuple[str, ...]

    @property
    def written_actions(self) -> ActionSpace:
        """As the team's messages have them; bounds are the first agent's."""
        return self.continuous[0] if self.continuous else DiscreteActions(count=self.actions)
