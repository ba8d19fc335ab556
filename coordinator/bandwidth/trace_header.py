"""What a trace says of itself before its first step.  Axis legend: K categoricals, C classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heliograph.manifest import MessageFormat


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
    state_size: int
    message: MessageFormat | None
    recurrent_size: int
    bundles: tuple[str, ...]
    tables: np.ndarray | None
    """int64 [K, C], counts."""
    observation_names: tuple[str, ...]
    state_names: tuple[str, ...]
